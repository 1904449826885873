//! One file of one member.

use super::{Findings, Load, Vitals};
use crate::cluster::Cluster;
use crate::http_get;
use crate::wait::wait_until;
use mainstay_faults::files::{self, Damage, DataFile, FileKind, Injury, Spot};
use mainstay_proto::etcdserverpb::HashKvRequest;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// From the damage to a member that is whole again, snapshots and catching up included.
const REPAIR_DEADLINE: Duration = Duration::from_secs(90);
/// A running member reads everything every two seconds here.
const SCRUBS_UNTIL_UNNOTICED: u64 = 3;
/// Other ways to harm a file where the chosen one would change nothing.
const INSTEAD: [Damage; 2] = [Damage::FlipBits(3), Damage::Delete];

/// What is done.
#[derive(Clone, Copy, Debug)]
pub struct Harm {
    /// To a file of this kind.
    pub kind: FileKind,
    /// If it can be done to it.
    pub damage: Damage,
    /// Where.
    pub spot: Spot,
    /// Decides everything else.
    pub seed: u64,
}

impl Harm {
    /// Does it to a file below a member's folder.
    pub fn inflict(&self, cluster: &Cluster, member: usize) -> Option<Injury> {
        let found =
            files::survey(&cluster.data_dir(member)).expect("a data directory can be listed");
        let in_use = |file: &&DataFile| is_begun(&file.path) && is_in_use(&file.path, &found);
        let mine: Vec<&DataFile> = found
            .iter()
            .filter(|file| file.kind == self.kind)
            .filter(in_use)
            .collect();
        let file = mine.get(usize::try_from(self.seed).unwrap_or(0) % mine.len().max(1))?;
        std::iter::once(self.damage)
            .chain(INSTEAD)
            .find_map(|damage| files::damage(file, damage, self.spot, self.seed).ok())
    }
}

/// One round.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Whose file.
    pub victim: usize,
    /// What happens to it.
    pub harm: Harm,
    /// While the member runs; else it is stopped before and started after.
    pub running: bool,
    /// Whether it is stopped in good order or killed.
    pub clean_stop: bool,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The proof of the damage.
    pub injury: String,
    /// What the member said about it.
    pub findings: Findings,
    /// From the damage, or the start after it, until all was well.
    pub took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} in {:.1?}", self.injury, self.findings, self.took)
    }
}

/// Counts of all rounds.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By kind of file: repaired from peers, made again in place, not noticed.
    pub kinds: BTreeMap<FileKind, [u32; 3]>,
}

impl Report {
    /// Adds a round.
    pub fn add(&mut self, kind: FileKind, outcome: &Outcome) {
        let findings = &outcome.findings;
        let column = match (findings.repairs > 0, findings.any()) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        };
        self.kinds.entry(kind).or_default()[column] += 1;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, [repaired, rebuilt, unnoticed]) in &self.kinds {
            writeln!(
                f,
                "{kind:?}: {repaired} repaired from peers, {rebuilt} made again, {unnoticed} of no consequence"
            )?;
        }
        Ok(())
    }
}

/// Damages one file and waits until the cluster is whole again. Panics if the member does not come back by itself, if
/// damage that matters goes unnoticed, if members differ, or if anything wrong was read meanwhile.
pub async fn run_round(cluster: &mut Cluster, load: &Load, round: Round) -> Outcome {
    let victim = round.victim;
    let before = wait_until(
        "the victim is well before the round",
        REPAIR_DEADLINE,
        async || Vitals::of(cluster, victim).await.filter(Vitals::is_well),
    )
    .await;
    if !round.running {
        stop(cluster, victim, round.clean_stop).await;
    }
    let injury = round.harm.inflict(cluster, victim);
    let injury = injury.unwrap_or_else(|| panic!("nothing could be damaged: {round:?}"));
    let started = tokio::time::Instant::now();
    if !round.running {
        cluster.spawn(victim);
    }
    let after = recovered(cluster, load, victim, &before, round.running).await;
    let findings = after.findings.since(&before.findings);
    let outcome = Outcome {
        injury: injury.proof().to_string(),
        findings,
        took: started.elapsed(),
    };
    assert!(
        outcome.findings.any() || is_harmless(&injury, round.running),
        "damage went unnoticed: {round:?}: {outcome}"
    );
    agree(cluster).await;
    load.check();
    outcome
}

/// A segment that is prepared has no header yet.
fn is_begun(path: &Path) -> bool {
    let mut start = [0; 64];
    let read = std::fs::File::open(path).and_then(|mut file| file.read(&mut start));
    read.is_ok_and(|read| start[..read].iter().any(|byte| *byte != 0))
}

/// A database that a snapshot has replaced stays until the next start; nothing is read from it any more.
fn is_in_use(path: &Path, all: &[DataFile]) -> bool {
    let database = path
        .iter()
        .find(|part| part.to_string_lossy().starts_with("db-"));
    let Some(database) = database else {
        return true;
    };
    let pointer = all.iter().find(|file| file.kind == FileKind::StatePointer);
    let current = pointer.and_then(|file| std::fs::read_to_string(&file.path).ok());
    current.is_some_and(|text| text.split(' ').next() == database.to_str())
}

async fn stop(cluster: &mut Cluster, member: usize, clean: bool) {
    if clean {
        let (status, _) = cluster.terminate(member).await;
        assert!(status.success(), "a clean stop ended with {status}");
    } else {
        cluster.kill(member);
    }
}

/// Waits until a member serves and votes, and has read everything it has often enough for all damage to show.
async fn recovered(
    cluster: &mut Cluster,
    load: &Load,
    member: usize,
    before: &Vitals,
    running: bool,
) -> Vitals {
    let what = format!("member {member} is whole again");
    wait_until(&what, REPAIR_DEADLINE, async || {
        assert!(
            cluster.runs(member),
            "member {member} ended instead of being repaired"
        );
        load.check();
        let vitals = Vitals::of(cluster, member).await.filter(Vitals::is_well)?;
        let noticed = vitals.findings.since(&before.findings).any();
        let least = if running {
            before.scrubs + SCRUBS_UNTIL_UNNOTICED
        } else {
            1
        };
        if !noticed && vitals.scrubs < least {
            return None;
        }
        let answer = http_get::get(
            cluster.client_port(member),
            "/health",
            cluster.client_identity(),
        )
        .await
        .ok()?;
        (answer.status == 200).then_some(vitals)
    })
    .await
}

/// Bytes that nobody reads: between records of the log and behind them, the older half of the witness, options that
/// are written anew at every start. Replaced or retired files are gone before anybody could read them.
fn is_harmless(injury: &Injury, running: bool) -> bool {
    match injury.kind {
        FileKind::Options | FileKind::WalSegment | FileKind::Witness => true,
        // A compaction may have replaced it, reading around the damage.
        FileKind::Table => !injury.path.exists() || running,
        FileKind::Manifest | FileKind::DbPointer => running,
        _ => false,
    }
}

/// All members have the same data at the same revision.
pub(super) async fn agree(cluster: &Cluster) {
    let raws = cluster.raws();
    wait_until("all members agree", REPAIR_DEADLINE, async || {
        let revision = raws[0].revision().await.ok()?;
        let mut hashes = Vec::new();
        for raw in &raws {
            let hash = raw.hash_kv(HashKvRequest { revision }).await.ok()?;
            hashes.push((hash.hash, hash.compact_revision, hash.hash_revision));
        }
        let same = hashes.iter().all(|hash| *hash == hashes[0]);
        assert!(
            same || hashes.iter().any(|h| h.1 != hashes[0].1),
            "members differ: {hashes:?}"
        );
        same.then_some(())
    })
    .await;
}
