//! Answers of other servers, for as long as they said.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::limits::{CACHE_ENTRIES_MAX, CACHE_PARTS, CACHE_RECORDS_MAX};
use crate::wire::{Code, Content, Name, Question, Record, Type};

/// What tells answers apart. Names are the same whatever their case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    name: Name,
    kind: Type,
    dnssec: bool,
    checking_disabled: bool,
}

#[derive(Debug)]
struct Entry {
    content: Arc<Content>,
    since: Instant,
    life: Duration,
}

/// Names that exist, or names that do not: a flood of the latter must not push out the former.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Success,
    Denial,
}

#[derive(Debug, Default)]
struct Part {
    entries: HashMap<Key, Entry>,
    /// In the order in which they came.
    order: VecDeque<Key>,
}

/// A bounded cache; when it is full the oldest answers go.
pub(crate) struct Cache {
    success: Vec<Mutex<Part>>,
    denial: Vec<Mutex<Part>>,
    hasher: RandomState,
    life_max: Duration,
    entries_max: usize,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

/// What came of keeping an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is not to be kept.
    Not,
    In(Half),
    /// In place of an older one.
    InFull(Half),
}

impl Cache {
    /// Keeps nothing for longer than `life_max`.
    pub(crate) fn new(life_max: Duration) -> Self {
        Self::with_room(life_max, CACHE_ENTRIES_MAX)
    }

    fn with_room(life_max: Duration, entries_max: usize) -> Self {
        let parts = || (0..CACHE_PARTS).map(|_| Mutex::default()).collect();
        Self {
            success: parts(),
            denial: parts(),
            hasher: RandomState::new(),
            life_max,
            entries_max: (entries_max / CACHE_PARTS).max(1),
        }
    }

    /// An answer that still counts, with the time that is left of it.
    pub(crate) fn get(&self, question: &Question, now: Instant) -> Option<(Half, Content)> {
        let key = Key::of(question);
        for half in [Half::Success, Half::Denial] {
            let part = self.part(half, &key).lock();
            let Some(entry) = part.entries.get(&key) else {
                continue;
            };
            let age = now.saturating_duration_since(entry.since);
            if age < entry.life {
                let content = Arc::clone(&entry.content);
                drop(part);
                return Some((half, aged(&content, age)));
            }
        }
        None
    }

    /// Keeps an answer for as long as its records say.
    pub(crate) fn put(&self, question: &Question, content: &Content, now: Instant) -> Kept {
        let records = content.answers.len() + content.authorities.len() + content.additionals.len();
        let Some((half, seconds)) = life(content).filter(|_| records <= CACHE_RECORDS_MAX) else {
            return Kept::Not;
        };
        let life = Duration::from_secs(seconds.into()).min(self.life_max);
        if life.is_zero() {
            return Kept::Not;
        }
        let key = Key::of(question);
        let entry = Entry {
            content: Arc::new(content.clone()),
            since: now,
            life,
        };
        let other = match half {
            Half::Success => Half::Denial,
            Half::Denial => Half::Success,
        };
        // What was said before does not count any more.
        if let Some(old) = self.part(other, &key).lock().entries.get_mut(&key) {
            old.life = Duration::ZERO;
        }
        let mut part = self.part(half, &key).lock();
        if part.entries.insert(key.clone(), entry).is_some() {
            return Kept::In(half);
        }
        part.order.push_back(key);
        if part.order.len() <= self.entries_max {
            return Kept::In(half);
        }
        if let Some(oldest) = part.order.pop_front() {
            part.entries.remove(&oldest);
        }
        Kept::InFull(half)
    }

    /// How many answers there are, those that do not count any more among them.
    pub(crate) fn len(&self, half: Half) -> usize {
        let parts = self.parts(half).iter();
        parts.map(|part| part.lock().entries.len()).sum()
    }

    fn parts(&self, half: Half) -> &[Mutex<Part>] {
        match half {
            Half::Success => &self.success,
            Half::Denial => &self.denial,
        }
    }

    fn part(&self, half: Half, key: &Key) -> &Mutex<Part> {
        let hash = self.hasher.hash_one(key);
        let number = usize::try_from(hash % CACHE_PARTS as u64).unwrap_or(0);
        &self.parts(half)[number]
    }
}

impl Key {
    fn of(question: &Question) -> Self {
        Self {
            name: question.name().clone(),
            kind: question.kind(),
            dnssec: question.dnssec(),
            checking_disabled: question.checking_disabled,
        }
    }
}

/// For how many seconds an answer counts, and whether it says that there is something. None for failures, and for
/// denials that do not say how long they count (RFC 2308).
fn life(content: &Content) -> Option<(Half, u32)> {
    let least = |records: &[Record]| records.iter().map(|record| record.ttl).min();
    match content.code {
        Code::NO_ERROR if !content.answers.is_empty() => {
            least(&content.answers).map(|seconds| (Half::Success, seconds))
        }
        Code::NO_ERROR | Code::NX_DOMAIN => {
            let mut authorities = content.authorities.iter();
            let denied = authorities.find_map(|record| Some(record.minimum()?.min(record.ttl)))?;
            let aliases = least(&content.answers).unwrap_or(denied);
            Some((Half::Denial, denied.min(aliases)))
        }
        _ => None,
    }
}

fn aged(content: &Content, age: Duration) -> Content {
    let age = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
    let mut content = content.clone();
    let Content {
        answers,
        authorities,
        additionals,
        ..
    } = &mut content;
    for record in answers.iter_mut().chain(authorities).chain(additionals) {
        record.ttl = record.ttl.saturating_sub(age);
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Query;

    fn question(name: &str) -> Question {
        let name = Name::from_text(name).expect("it is a name");
        Question {
            id: 1,
            recursion_desired: true,
            checking_disabled: false,
            query: Query {
                name,
                kind: Type::A,
                class: 1,
            },
            edns: None,
        }
    }

    fn positive(name: &str, ttl: u32) -> Content {
        let name = Name::from_text(name).expect("it is a name");
        let record = Record::address(&name, ttl, [192, 0, 2, 1].into());
        Content {
            answers: vec![record],
            ..Content::code(Code::NO_ERROR)
        }
    }

    fn negative(code: Code, ttl: u32, minimum: u32) -> Content {
        let root = Name::root();
        let mut soa = Record::soa(&root, &root, &root, 1, minimum);
        soa.ttl = ttl;
        Content {
            authorities: vec![soa],
            ..Content::code(code)
        }
    }

    #[test]
    fn answers_count_as_long_as_they_say() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (what, content, half, life) in [
            ("an address", positive("a.", 20), Half::Success, 20),
            ("a long one", positive("a.", 9999), Half::Success, 30),
            ("no name", negative(Code::NX_DOMAIN, 7, 99), Half::Denial, 7),
            (
                "no such type",
                negative(Code::NO_ERROR, 99, 8),
                Half::Denial,
                8,
            ),
        ] {
            let cache = Cache::new(Duration::from_secs(30));
            assert_eq!(cache.put(&question("a."), &content, start), Kept::In(half));
            let (got, first) = cache.get(&question("A."), at(0)).expect(what);
            assert_eq!((got, &first), (half, &content), "{what}");
            let (_, late) = cache.get(&question("a."), at(life - 1)).expect(what);
            let ttl = |content: &Content| {
                let mut records = content.answers.iter().chain(&content.authorities);
                records.next().map_or(0, |record| record.ttl)
            };
            assert_eq!(
                u64::from(ttl(&late)),
                u64::from(ttl(&content)) - life + 1,
                "{what}"
            );
            assert!(cache.get(&question("a."), at(life)).is_none(), "{what}");
        }
    }

    #[test]
    fn failures_and_what_says_no_time_are_not_kept() {
        let cache = Cache::new(Duration::from_secs(30));
        for content in [
            Content::code(Code::SERV_FAIL),
            Content::code(Code::NX_DOMAIN),
            positive("a.", 0),
        ] {
            let kept = cache.put(&question("a."), &content, Instant::now());
            assert_eq!(kept, Kept::Not, "{content:?}");
        }
    }

    #[test]
    fn a_full_cache_lets_the_oldest_go_and_denials_push_out_no_names() {
        let cache = Cache::with_room(Duration::from_secs(30), CACHE_PARTS);
        let now = Instant::now();
        cache.put(&question("kept."), &positive("kept.", 20), now);
        for number in 0..1_000 {
            let content = negative(Code::NX_DOMAIN, 20, 20);
            cache.put(&question(&format!("n{number}.")), &content, now);
        }
        assert!(cache.len(Half::Denial) <= CACHE_PARTS);
        assert!(cache.get(&question("kept."), now).is_some());
        for number in 0..1_000 {
            let name = format!("p{number}.");
            cache.put(&question(&name), &positive(&name, 20), now);
        }
        assert!(cache.len(Half::Success) <= CACHE_PARTS);
        assert!(cache.get(&question("kept."), now).is_none());
        assert!(cache.get(&question("p999."), now).is_some());
    }

    #[test]
    fn a_name_that_has_gone_is_not_told_from_before() {
        let cache = Cache::new(Duration::from_secs(30));
        let now = Instant::now();
        cache.put(&question("a."), &positive("a.", 20), now);
        let gone = negative(Code::NX_DOMAIN, 20, 20);
        cache.put(&question("a."), &gone, now);
        let (half, _) = cache.get(&question("a."), now).expect("it is there");
        assert_eq!(half, Half::Denial);
    }
}
