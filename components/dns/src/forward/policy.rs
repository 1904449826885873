//! Which server is asked first.

use std::str::FromStr;

/// In which order servers are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    #[default]
    Random,
    RoundRobin,
    /// Always the first one that answers.
    Sequential,
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "random" => Ok(Self::Random),
            "round_robin" => Ok(Self::RoundRobin),
            "sequential" => Ok(Self::Sequential),
            _ => Err(format!("{text:?} is not random, round_robin or sequential")),
        }
    }
}
