//! Comparing the content of replicas, for damage that no checksum tells.
//!
//! From time to time the leader asks all members for their hash at one revision. Where a majority of the
//! voters agrees, a member that differs is told, asks the others itself and, if they confirm it, reports
//! its data as damaged. Where no majority agrees nobody knows who is right: the CORRUPT alarm is raised, which
//! stops writes until an operator has decided.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use mainstay_mvcc::{HashKv, MvccError};
use mainstay_proto::etcdserverpb::AlarmType;
use tokio::time::{Instant, sleep, timeout};

use super::Kind;
use crate::alarms::{AlarmCause, AlarmChange};
use crate::codec::{Malformed, Reader};
use crate::command::Command;
use crate::env::Env;
use crate::error::Error;
use crate::limits::{COMPARE_CATCH_UP, COMPARE_REST_FACTOR, COMPARE_TIMEOUT};
use crate::metrics::count;
use crate::node::Inner;
use crate::peer::{Call, Purpose};

/// Pause before a member that has not applied a revision yet looks again.
const CATCH_UP_PAUSE: Duration = Duration::from_millis(50);

/// A hash and the compaction it depends on: comparable only with one of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Content {
    compacted: i64,
    hash: u32,
}

/// What a comparison says.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nobody differs, or too few can be compared.
    Agreed,
    /// A majority of the voters has `right`; these differ.
    Wrong { right: Content, members: Vec<u64> },
    /// Members differ, and nobody has a majority.
    Unclear(Vec<u64>),
}

/// Judges the answers of members. `voters` is the number of votes in the cluster, `votes` who has one.
fn judge(answers: &BTreeMap<u64, Content>, voters: usize, votes: impl Fn(u64) -> bool) -> Verdict {
    // A compaction under way divides the answers; the larger group is compared.
    let mut groups: BTreeMap<i64, Vec<(u64, Content)>> = BTreeMap::new();
    for (id, content) in answers {
        groups
            .entry(content.compacted)
            .or_default()
            .push((*id, *content));
    }
    let Some(group) = groups.into_values().max_by_key(Vec::len) else {
        return Verdict::Agreed;
    };
    if group.iter().all(|(_, content)| *content == group[0].1) {
        return Verdict::Agreed;
    }
    let mut tally: BTreeMap<Content, usize> = BTreeMap::new();
    for (id, content) in &group {
        *tally.entry(*content).or_default() += usize::from(votes(*id));
    }
    let majority = voters / 2 + 1;
    let others = |right: Option<Content>| {
        let differing = group.iter().filter(|(_, content)| Some(*content) != right);
        differing.map(|(id, _)| *id).collect()
    };
    match tally.iter().find(|(_, count)| **count >= majority) {
        Some((right, _)) => Verdict::Wrong {
            right: *right,
            members: others(Some(*right)),
        },
        None => Verdict::Unclear(others(None)),
    }
}

impl<E: Env> Inner<E> {
    /// Has the leader compare members every so often, and never more than a small share of the time.
    pub(crate) async fn run_comparisons(self: Arc<Self>) {
        let Some(every) = self.compare_interval else {
            return;
        };
        let mut pause = every;
        loop {
            sleep(pause).await;
            pause = every;
            if !self.raft.is_leader() {
                continue;
            }
            let begun = Instant::now();
            if let Err(e) = self.compare().await {
                tracing::warn!("comparing the members' data: {e}");
            }
            pause = pause.max(begun.elapsed() * COMPARE_REST_FACTOR);
        }
    }

    async fn compare(&self) -> Result<(), Error> {
        let revision = self.shared.reader.load().revision();
        let answers = self.contents(revision).await?;
        let members = self.shared.members.load_full();
        let voters = members.membership().voter_ids().count();
        count(&self.shared.metrics.comparisons);
        match judge(&answers, voters, |id| members.is_voter(id)) {
            Verdict::Agreed => Ok(()),
            Verdict::Wrong { members, .. } => {
                for id in members {
                    tracing::error!(
                        "member {id:x} has other data at revision {revision} than a majority"
                    );
                    self.tell_it_differs(id, revision).await;
                }
                Ok(())
            }
            Verdict::Unclear(members) => {
                tracing::error!("members {members:x?} have different data at revision {revision}");
                let change = AlarmChange {
                    active: true,
                    member: self.member_id(),
                    kind: AlarmType::Corrupt,
                    cause: AlarmCause::Lasting,
                };
                self.propose(&Command::Alarm(change)).await.map(drop)
            }
        }
    }

    async fn tell_it_differs(&self, id: u64, revision: i64) {
        let told = match id == self.member_id() {
            true => self.check_myself(revision).await,
            false => {
                let body = Bytes::copy_from_slice(&revision.to_le_bytes());
                self.ask(id, Call::HashVerdict, body).await.map(drop)
            }
        };
        if let Err(e) = told {
            tracing::warn!("telling member {id:x} that its data differs: {e}");
        }
    }

    /// Somebody says that this member's data differs from the others': it asks them itself.
    pub(crate) async fn check_myself(&self, revision: i64) -> Result<(), Error> {
        let answers = self.contents(revision).await?;
        let members = self.shared.members.load_full();
        let voters = members.membership().voter_ids().count();
        let me = self.member_id();
        if let Verdict::Wrong { right, members } =
            judge(&answers, voters, |id| members.is_voter(id))
            && members.contains(&me)
        {
            let own = answers.get(&me);
            let what =
                format!("at revision {revision} a majority has {right:x?}, this member {own:x?}");
            let damage = Arc::clone(&self.shared.damage);
            let reporting = self
                .env
                .blocking(move || damage.report(Kind::Replica, &what));
            reporting.await.map_err(|e| Error::Fatal(e.to_string()))?;
        }
        Ok(())
    }

    /// What this member and those that can be reached hold at a revision.
    async fn contents(&self, revision: i64) -> Result<BTreeMap<u64, Content>, Error> {
        let own = self.content(revision).await?;
        let members = self.shared.members.load_full();
        let ids = members.membership().nodes().map(|(id, _)| *id);
        let ids: Vec<u64> = ids.filter(|id| *id != self.member_id()).collect();
        let body = Bytes::copy_from_slice(&revision.to_le_bytes());
        let asking = ids
            .iter()
            .map(|id| self.ask(*id, Call::HashKv, body.clone()));
        let answers = futures_util::future::join_all(asking).await;
        let mut contents = BTreeMap::from([(self.member_id(), own)]);
        for (id, answer) in ids.into_iter().zip(answers) {
            // Whoever cannot answer now is compared the next time.
            if let Some(content) = answer.ok().and_then(|body| decode(body).ok()) {
                contents.insert(id, content);
            }
        }
        Ok(contents)
    }

    async fn ask(&self, id: u64, call: Call, body: Bytes) -> Result<Bytes, Error> {
        let link = self.links.get(id, Purpose::Request);
        let asking = async {
            let conn = link
                .conn()
                .await
                .map_err(|_| Error::TimeoutConnectionLost)?;
            let answer = conn.call(call, body).await;
            answer.map_err(|_| Error::TimeoutConnectionLost)
        };
        timeout(COMPARE_TIMEOUT, asking)
            .await
            .map_err(|_| Error::Timeout)?
    }

    /// The answer to [`Call::HashKv`].
    pub(crate) async fn content_for_peer(&self, revision: i64) -> Result<Bytes, Error> {
        let content = self.content(revision).await?;
        let mut out = BytesMut::new();
        out.put_i64_le(content.compacted);
        out.put_u32_le(content.hash);
        Ok(out.freeze())
    }

    async fn content(&self, revision: i64) -> Result<Content, Error> {
        let deadline = Instant::now() + COMPARE_CATCH_UP;
        loop {
            let reader = self.shared.reader.load_full();
            let hashing = self.env.blocking(move || reader.hash_kv(revision));
            match hashing.await.map_err(|e| Error::Fatal(e.to_string()))? {
                Ok(HashKv {
                    hash,
                    compact_revision,
                    ..
                }) => {
                    return Ok(Content {
                        compacted: compact_revision,
                        hash,
                    });
                }
                Err(MvccError::FutureRevision) if Instant::now() < deadline => {
                    sleep(CATCH_UP_PAUSE).await;
                }
                Err(e) => {
                    let e = io::Error::other(e);
                    self.shared.damage.note(Kind::Engine, &e);
                    return Err(Error::Fatal(e.to_string()));
                }
            }
        }
    }
}

fn decode(body: Bytes) -> Result<Content, Malformed> {
    let mut r = Reader::new(body, "hash");
    let content = Content {
        compacted: r.i64()?,
        hash: r.u32()?,
    };
    r.end()?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(list: &[(u64, i64, u32)]) -> BTreeMap<u64, Content> {
        let one = |&(id, compacted, hash): &(u64, i64, u32)| (id, Content { compacted, hash });
        list.iter().map(one).collect()
    }

    fn wrong(list: &[(u64, i64, u32)], voters: usize) -> Result<Vec<u64>, Vec<u64>> {
        match judge(&answers(list), voters, |id| id < 10) {
            Verdict::Agreed => Ok(Vec::new()),
            Verdict::Wrong { members, .. } => Ok(members),
            Verdict::Unclear(members) => Err(members),
        }
    }

    #[test]
    fn the_majority_is_right() {
        assert_eq!(wrong(&[(1, 5, 7), (2, 5, 7), (3, 5, 7)], 3), Ok(vec![]));
        assert_eq!(wrong(&[(1, 5, 7), (2, 5, 8), (3, 5, 7)], 3), Ok(vec![2]));
        // The one who asks may be the one who is wrong.
        assert_eq!(wrong(&[(1, 5, 8), (2, 5, 7), (3, 5, 7)], 3), Ok(vec![1]));
    }

    #[test]
    fn without_a_majority_of_all_voters_nobody_is_right() {
        assert_eq!(wrong(&[(1, 5, 7), (2, 5, 8)], 3), Err(vec![1, 2]));
        assert_eq!(wrong(&[(1, 5, 7), (2, 5, 8)], 2), Err(vec![1, 2]));
        assert_eq!(
            wrong(&[(1, 5, 7), (2, 5, 8), (3, 5, 9)], 3),
            Err(vec![1, 2, 3])
        );
        // Two of three that answered, of five that vote.
        assert_eq!(
            wrong(&[(1, 5, 7), (2, 5, 7), (3, 5, 9)], 5),
            Err(vec![1, 2, 3])
        );
        // A learner (10 and above) has no say, but may be wrong.
        assert_eq!(
            wrong(&[(1, 5, 7), (10, 5, 8), (11, 5, 8)], 1),
            Ok(vec![10, 11])
        );
    }

    #[test]
    fn only_hashes_of_the_same_compaction_are_compared() {
        assert_eq!(wrong(&[(1, 5, 7), (2, 6, 8), (3, 5, 7)], 3), Ok(vec![]));
        assert_eq!(wrong(&[(1, 5, 7)], 1), Ok(vec![]));
        assert_eq!(wrong(&[], 3), Ok(vec![]));
    }
}
