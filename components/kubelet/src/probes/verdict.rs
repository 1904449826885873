//! What probes have found.

use std::collections::HashMap;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    Startup,
    Liveness,
    Readiness,
}

impl Purpose {
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Success,
    Failure,
    /// No threshold was reached yet.
    Unknown,
}

/// By container's id.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    found: HashMap<(String, Purpose), Verdict>,
}

impl Verdicts {
    pub fn set(&mut self, id: &str, purpose: Purpose, verdict: Verdict) -> bool {
        self.found.insert((id.to_owned(), purpose), verdict) != Some(verdict)
    }

    /// Forgets a container.
    pub fn forget(&mut self, id: &str) {
        self.found.retain(|(of, _), _| of != id);
    }

    pub fn startup(&self, id: &str) -> Option<Verdict> {
        self.get(id, Purpose::Startup)
    }

    pub fn liveness(&self, id: &str) -> Option<Verdict> {
        self.get(id, Purpose::Liveness)
    }

    pub fn readiness(&self, id: &str) -> Option<Verdict> {
        self.get(id, Purpose::Readiness)
    }

    fn get(&self, id: &str, purpose: Purpose) -> Option<Verdict> {
        self.found.get(&(id.to_owned(), purpose)).copied()
    }
}
