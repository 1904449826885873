//! A label selector: conditions that must all hold.

use super::requirement::{Operator, Requirement};
use super::{SelectorError, parser};
use serde_json::{Map, Value};
use std::fmt;
use std::str::FromStr;

/// Conditions on labels that must all hold. Without conditions it matches everything; [`LabelSelector::nothing`]
/// matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    nothing: bool,
    requirements: Vec<Requirement>,
}

impl LabelSelector {
    /// Matches every object.
    pub const fn everything() -> LabelSelector {
        LabelSelector {
            nothing: false,
            requirements: Vec::new(),
        }
    }

    /// Matches no object.
    pub const fn nothing() -> LabelSelector {
        LabelSelector {
            nothing: true,
            requirements: Vec::new(),
        }
    }

    /// Parses `app=web,tier in (a,b),!canary`; an empty text matches everything.
    pub fn parse(selector: &str) -> Result<LabelSelector, SelectorError> {
        Ok(LabelSelector {
            nothing: false,
            requirements: parser::parse(selector)?,
        })
    }

    /// All of these conditions.
    pub fn new(mut requirements: Vec<Requirement>) -> LabelSelector {
        requirements.sort_by(|a, b| a.key().cmp(b.key()));
        LabelSelector {
            nothing: false,
            requirements,
        }
    }

    /// The conditions, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether everything matches.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// Whether nothing matches.
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    /// Whether the labels that `lookup` finds match.
    pub fn matches_with<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(lookup(r.key())))
    }

    /// Whether a map of labels matches; None is an empty map.
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.matches_with(|key| labels?.get(key)?.as_str())
    }

    /// The one value a label must have, if the selector asks for one.
    pub fn requires_exactly(&self, label: &str) -> Option<&str> {
        let first = self.requirements.iter().find(|r| r.key() == label)?;
        let exact = matches!(
            first.operator(),
            Operator::Equals | Operator::DoubleEquals | Operator::In
        );
        match first.values() {
            [one] if exact => Some(one),
            _ => None,
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}

impl FromStr for LabelSelector {
    type Err = SelectorError;
    fn from_str(selector: &str) -> Result<LabelSelector, SelectorError> {
        LabelSelector::parse(selector)
    }
}
