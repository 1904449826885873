//! Depth-first search for an order, remembering where it has been.
//!
//! Answered steps are sorted by their calls, so what has been ordered is all below some position and a few
//! above: that, the open steps that were used and the register are the memory's key.

use std::collections::HashSet;
use std::time::Instant;

use super::register::{Register, Step};
use crate::limits::{OPEN_STEPS_MAX, SEARCH_MEMORY_MAX};

pub(super) enum Outcome {
    Linearizable,
    /// Operations at the furthest point that was reached, none of which can be next.
    Not {
        stuck: Vec<u64>,
    },
    TooLong(String),
}

/// What has been ordered, and what the register is then.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    /// All answered steps below are ordered.
    below: usize,
    /// Ordered ones above, rising.
    above: Vec<usize>,
    used: u128,
    register: Register,
}

struct Frame {
    place: Place,
    /// What may come next: answered steps, then open ones (counted on from the answered ones).
    next: Vec<usize>,
}

pub(super) fn search(answered: &[Step], open: &[Step], deadline: Instant) -> Outcome {
    if open.len() > OPEN_STEPS_MAX {
        return Outcome::TooLong(format!("{} operations of unknown outcome", open.len()));
    }
    let start = Place {
        below: 0,
        above: Vec::new(),
        used: 0,
        register: Register::default(),
    };
    let mut been = HashSet::new();
    let mut furthest = (0, Vec::new());
    let mut stack = vec![Frame::new(start, answered, open)];
    let mut turns = 0_u64;
    while let Some(frame) = stack.last_mut() {
        turns += 1;
        if turns.is_multiple_of(1024) && Instant::now() > deadline {
            return Outcome::TooLong("the time is over".into());
        }
        if been.len() > SEARCH_MEMORY_MAX {
            return Outcome::TooLong("the memory is full".into());
        }
        let done = frame.place.below + frame.place.above.len();
        if done == answered.len() {
            return Outcome::Linearizable;
        }
        if done >= furthest.0 && !frame.next.is_empty() {
            let stuck = frame.next.iter().filter_map(|at| answered.get(*at));
            furthest = (done, stuck.map(|step| step.id).collect());
        }
        let Some(at) = frame.next.pop() else {
            stack.pop();
            continue;
        };
        let Some(place) = frame.place.with(at, answered, open) else {
            continue;
        };
        if been.insert(place.clone()) {
            stack.push(Frame::new(place, answered, open));
        }
    }
    Outcome::Not { stuck: furthest.1 }
}

impl Place {
    fn with(&self, at: usize, answered: &[Step], open: &[Step]) -> Option<Self> {
        let step = answered.get(at).or_else(|| open.get(at - answered.len()))?;
        let register = self.register.after(step)?;
        let mut next = Self {
            register,
            ..self.clone()
        };
        if at >= answered.len() {
            next.used |= 1 << (at - answered.len());
            return Some(next);
        }
        let place = next.above.partition_point(|other| *other < at);
        next.above.insert(place, at);
        let run = (next.below..)
            .zip(&next.above)
            .take_while(|(below, above)| below == *above)
            .count();
        next.above.drain(..run);
        next.below += run;
        Some(next)
    }
}

impl Frame {
    fn new(place: Place, answered: &[Step], open: &[Step]) -> Self {
        // Nothing may come next that was called after another one had returned.
        let mut first_return = u64::MAX;
        let mut next = Vec::new();
        for (at, step) in answered.iter().enumerate().skip(place.below) {
            if step.call > first_return {
                break;
            }
            if place.above.binary_search(&at).is_err() {
                first_return = first_return.min(step.returned);
                next.push(at);
            }
        }
        next.retain(|at| answered[*at].call <= first_return);
        // Taken from the end: what returns first is tried first, open ones last.
        next.sort_by_key(|at| std::cmp::Reverse(answered[*at].returned));
        let possible = open
            .iter()
            .enumerate()
            .take_while(|(_, step)| step.call <= first_return)
            .filter(|(at, _)| place.used >> at & 1 == 0)
            .map(|(at, _)| answered.len() + at);
        let mut all: Vec<usize> = possible.collect();
        all.extend(next);
        Self { place, next: all }
    }
}
