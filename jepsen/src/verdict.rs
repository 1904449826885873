//! What is said of a run in the end, and the exit codes that go with it.

use mainstay_check::{HarnessFault, Judgement, Verdict};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The verdict over a run. Only [`Grade::Valid`] is a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Every promise was kept, and everything that was demanded happened.
    Valid,
    /// Nothing broken was found, but a checker could not say that there is nothing.
    Unknown,
    /// Nothing broken was found, but a demanded operation or fault did not happen.
    Insufficient,
    /// The harness failed: nothing is said of the store.
    HarnessFault,
    /// A promise of the store was broken.
    Invalid,
}

impl Grade {
    /// The exit code of the program.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::Unknown => 2,
            Self::Insufficient => 3,
            Self::HarnessFault => 4,
        }
    }

    /// From the checkers' judgement, and from what the harness itself saw broken.
    pub fn of(judgement: &Judgement, broken: &[String]) -> Self {
        let malformed = |fault: &HarnessFault| matches!(fault, HarnessFault::Malformed(_));
        if judgement.harness.iter().any(malformed) {
            return Self::HarnessFault;
        }
        match &judgement.verdict {
            Verdict::Invalid { .. } => Self::Invalid,
            _ if !broken.is_empty() => Self::Invalid,
            _ if !judgement.harness.is_empty() => Self::Insufficient,
            Verdict::Unknown { .. } => Self::Unknown,
            Verdict::Valid => Self::Valid,
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Unknown => "unknown",
            Self::Insufficient => "insufficient",
            Self::HarnessFault => "harness-fault",
            Self::Invalid => "INVALID",
        })
    }
}
