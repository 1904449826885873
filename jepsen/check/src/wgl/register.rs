//! One key as a register with a version, and requests as steps on it.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{
    Answer, Blob, Cmp, Compare, History, KeyValue, Op, Operation, Outcome, RangeOp, Target, TxnOp,
};
use crate::model::covers;

/// What a key holds. The revision is known only of acknowledged writes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Register {
    pub(super) held: Option<Held>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Held {
    value: Blob,
    version: i64,
    modified: Option<i64>,
}

/// A pair as an answer shows it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// None if it was not asked for.
    value: Option<Blob>,
    version: i64,
    modified: i64,
}

#[derive(Debug, Clone)]
pub(super) enum Effect {
    /// None is "no such key".
    Read(Option<Seen>),
    /// The previous pair, if it was asked for and answered.
    Put(Blob, Option<Option<Seen>>),
    /// Whether there was something to delete, if answered.
    Delete(Option<bool>),
}

/// A request's part in one key.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) id: u64,
    pub(super) call: u64,
    pub(super) returned: u64,
    revision: Option<i64>,
    guards: Vec<Compare>,
    /// What the guards came out as; unanswered requests count only if they hold.
    guarded: bool,
    effects: Vec<Effect>,
}

#[derive(Debug, Default)]
pub(super) struct Steps {
    pub(super) answered: Vec<Step>,
    /// May have happened at any time after the call, or never.
    pub(super) open: Vec<Step>,
}

#[derive(Debug)]
pub(super) struct Registers {
    pub(super) keys: BTreeMap<Blob, Steps>,
    pub(super) skipped: usize,
}

impl Register {
    /// The register after the step, or None if the step's answer is impossible here.
    pub(super) fn after(&self, step: &Step) -> Option<Self> {
        let mut unknown = false;
        let mut holds = true;
        for guard in &step.guards {
            match self.holds(guard) {
                Some(held) => holds &= held,
                None => unknown = true,
            }
        }
        // A guard that is known not to hold decides, whatever the others are.
        let contradicts = if step.guarded {
            !holds
        } else {
            holds && !unknown
        };
        if contradicts {
            return None;
        }
        let mut next = self.clone();
        for effect in &step.effects {
            next.apply(effect, step.revision)?;
        }
        Some(next)
    }

    fn apply(&mut self, effect: &Effect, revision: Option<i64>) -> Option<()> {
        match effect {
            Effect::Read(seen) => self.shows(seen.as_ref()).then_some(())?,
            Effect::Put(value, previous) => {
                if let Some(previous) = previous {
                    self.shows(previous.as_ref()).then_some(())?;
                }
                self.held = Some(Held {
                    value: value.clone(),
                    version: self.held.as_ref().map_or(0, |held| held.version) + 1,
                    modified: revision,
                });
            }
            Effect::Delete(deleted) => {
                if deleted.is_some_and(|deleted| deleted != self.held.is_some()) {
                    return None;
                }
                self.held = None;
            }
        }
        Some(())
    }

    fn shows(&self, seen: Option<&Seen>) -> bool {
        match (&self.held, seen) {
            (None, None) => true,
            (Some(held), Some(seen)) => {
                seen.value.as_ref().is_none_or(|value| *value == held.value)
                    && seen.version == held.version
                    && held
                        .modified
                        .is_none_or(|modified| modified == seen.modified)
            }
            _ => false,
        }
    }

    /// None when it cannot be told.
    fn holds(&self, guard: &Compare) -> Option<bool> {
        let order = match (&guard.target, &self.held) {
            (Target::Value(_), None) => return Some(false),
            (Target::Value(wanted), Some(held)) => held.value.cmp(wanted),
            (Target::Version(wanted), held) => {
                held.as_ref().map_or(0, |held| held.version).cmp(wanted)
            }
            (Target::Mod(wanted) | Target::Create(wanted) | Target::Lease(wanted), None) => {
                0.cmp(wanted)
            }
            (Target::Mod(wanted), Some(held)) => match held.modified {
                Some(modified) => modified.cmp(wanted),
                None if *wanted == 0 => 1.cmp(wanted),
                None => return None,
            },
            (Target::Create(0), Some(_)) => 1.cmp(&0),
            (Target::Create(_) | Target::Lease(_), Some(_)) => return None,
        };
        Some(match guard.cmp {
            Cmp::Equal => order.is_eq(),
            Cmp::NotEqual => order.is_ne(),
            Cmp::Less => order.is_lt(),
            Cmp::Greater => order.is_gt(),
        })
    }
}

impl Registers {
    pub(super) fn new(history: &History) -> Self {
        let mut skip = BTreeSet::new();
        let mut all = BTreeSet::new();
        for operation in &history.operations {
            written(&operation.op, &mut all);
            entangled(&operation.op, &mut skip);
        }
        let mut keys: BTreeMap<Blob, Steps> = all
            .into_iter()
            .filter(|key| !skip.contains(key))
            .map(|key| (key, Steps::default()))
            .collect();
        for operation in &history.operations {
            add(operation, &mut keys);
        }
        for steps in keys.values_mut() {
            steps
                .answered
                .sort_by_key(|step| (step.call, step.returned));
            steps.open.sort_by_key(|step| step.call);
        }
        Self {
            keys,
            skipped: skip.len(),
        }
    }
}

/// Keys that are put.
fn written(op: &Op, keys: &mut BTreeSet<Blob>) {
    match op {
        Op::Put(put) => {
            keys.insert(put.key.clone());
        }
        Op::Txn(txn) => {
            for step in txn.then.iter().chain(&txn.otherwise) {
                written(step, keys);
            }
        }
        _ => {}
    }
}

/// Keys whose contents depend on more than themselves.
fn entangled(op: &Op, keys: &mut BTreeSet<Blob>) {
    match op {
        Op::Put(put) if put.lease != 0 => {
            keys.insert(put.key.clone());
        }
        Op::Txn(txn) => {
            let mut own = BTreeSet::new();
            written(op, &mut own);
            for step in txn.then.iter().chain(&txn.otherwise) {
                match step {
                    // What such steps do depends on guards in other ways than `add` knows.
                    Op::Txn(_) => keys.extend(own.iter().cloned()),
                    Op::Delete(delete) => {
                        own.insert(delete.key.clone());
                    }
                    _ => entangled(step, keys),
                }
            }
            let simple = txn.compares.iter().all(|compare| compare.end.is_empty())
                && txn
                    .otherwise
                    .iter()
                    .all(|step| matches!(step, Op::Range(_)))
                && own
                    .iter()
                    .all(|key| txn.compares.iter().all(|c| c.key == *key));
            if !simple {
                keys.extend(own);
            }
        }
        _ => {}
    }
}

fn add(operation: &Operation, keys: &mut BTreeMap<Blob, Steps>) {
    let result = operation.result.as_ref();
    let (answer, revision) = match (operation.outcome, result) {
        (Outcome::Ok, Some(result)) => (Some(&result.answer), Some(result.revision)),
        (Outcome::Unknown, _) => (None, None),
        _ => return,
    };
    let step = |guards: Vec<Compare>, guarded, effects| Step {
        id: operation.id,
        call: operation.call,
        returned: operation.returned.unwrap_or(u64::MAX),
        revision,
        guards,
        guarded,
        effects,
    };
    let mut parts: BTreeMap<Blob, Vec<Effect>> = BTreeMap::new();
    match (&operation.op, answer) {
        (Op::Txn(txn), answer) => add_txn(txn, answer, keys, &step),
        (op, answer) => {
            effects(op, answer, keys, &mut parts);
            for (key, effects) in parts {
                put_in(
                    keys,
                    &key,
                    step(Vec::new(), true, effects),
                    answer.is_some(),
                );
            }
        }
    }
}

fn add_txn(
    txn: &TxnOp,
    answer: Option<&Answer>,
    keys: &mut BTreeMap<Blob, Steps>,
    step: &impl Fn(Vec<Compare>, bool, Vec<Effect>) -> Step,
) {
    let (succeeded, responses) = match answer {
        Some(Answer::Txn {
            succeeded,
            responses,
        }) => (*succeeded, Some(responses)),
        _ => (true, None),
    };
    let steps = if succeeded { &txn.then } else { &txn.otherwise };
    let mut parts: BTreeMap<Blob, Vec<Effect>> = BTreeMap::new();
    for (at, op) in steps.iter().enumerate() {
        let response = responses.and_then(|responses| responses.get(at));
        effects(op, response, keys, &mut parts);
    }
    // A guard that held, held for each key; one that did not is known only if it is the only key.
    let single = txn
        .compares
        .windows(2)
        .all(|pair| pair[0].key == pair[1].key);
    for compare in &txn.compares {
        if succeeded || single {
            parts.entry(compare.key.clone()).or_default();
        }
    }
    for (key, effects) in parts {
        let guards: Vec<_> = txn
            .compares
            .iter()
            .filter(|compare| compare.key == key && compare.end.is_empty())
            .cloned()
            .collect();
        // Without guards of its own, or with others beside it, a failure says nothing of this key.
        let known = succeeded || (single && !guards.is_empty());
        let (guards, guarded) = if known {
            (guards, succeeded)
        } else {
            (Vec::new(), true)
        };
        put_in(keys, &key, step(guards, guarded, effects), answer.is_some());
    }
}

fn put_in(keys: &mut BTreeMap<Blob, Steps>, key: &Blob, step: Step, answered: bool) {
    let Some(steps) = keys.get_mut(key) else {
        return;
    };
    if answered {
        steps.answered.push(step);
    } else if step
        .effects
        .iter()
        .any(|effect| !matches!(effect, Effect::Read(_)))
    {
        steps.open.push(step);
    }
}

fn effects(
    op: &Op,
    answer: Option<&Answer>,
    keys: &BTreeMap<Blob, Steps>,
    parts: &mut BTreeMap<Blob, Vec<Effect>>,
) {
    match (op, answer) {
        (Op::Put(put), answer) => {
            let previous = match answer {
                Some(Answer::Put { prev_kv }) if put.prev_kv => {
                    Some(prev_kv.as_ref().map(|kv| seen(kv, true)))
                }
                _ => None,
            };
            let effect = Effect::Put(put.value.clone(), previous);
            parts.entry(put.key.clone()).or_default().push(effect);
        }
        (Op::Delete(delete), answer) => {
            let single = delete.end.is_empty();
            let deleted = match answer {
                Some(Answer::Delete { deleted, .. }) if single || *deleted == 0 => {
                    Some(*deleted > 0)
                }
                _ => None,
            };
            for key in within(keys, &delete.key, &delete.end) {
                let effect = Effect::Delete(deleted);
                parts.entry(key.clone()).or_default().push(effect);
            }
        }
        (Op::Range(range), Some(Answer::Range { kvs, .. })) => read(range, kvs, keys, parts),
        _ => {}
    }
}

fn read(
    range: &RangeOp,
    kvs: &[KeyValue],
    keys: &BTreeMap<Blob, Steps>,
    parts: &mut BTreeMap<Blob, Vec<Effect>>,
) {
    let current = range.revision == 0 && !range.serializable;
    if !current || range.count_only || range.limit != 0 {
        return;
    }
    let by_key: BTreeMap<&Blob, &KeyValue> = kvs.iter().map(|kv| (&kv.key, kv)).collect();
    for key in within(keys, &range.key, &range.end) {
        let pair = by_key.get(key).map(|kv| seen(kv, !range.keys_only));
        parts
            .entry(key.clone())
            .or_default()
            .push(Effect::Read(pair));
    }
}

fn within<'k>(
    keys: &'k BTreeMap<Blob, Steps>,
    key: &'k Blob,
    end: &'k Blob,
) -> impl Iterator<Item = &'k Blob> {
    keys.range::<Blob, _>(key..)
        .map(|(known, _)| known)
        .take_while(move |known| covers(key, end, known))
}

fn seen(kv: &KeyValue, with_value: bool) -> Seen {
    Seen {
        value: with_value.then(|| kv.value.clone()),
        version: kv.version,
        modified: kv.modified,
    }
}
