//! Command line, environment and configuration file in etcd's syntax.
//!
//! Flags follow Go's `flag` package (`-x`, `--x`, `--x=v`, repeats allowed, last wins), which general-purpose parsers
//! cannot imitate. This module knows names, kinds and defaults; what the values mean is [`crate::config`]'s concern.

mod file;
mod help;
mod parse;
mod spec;
mod value;

pub use parse::{Outcome, ParseError, parse};
pub use value::{duration, parse_bool};

use spec::{FLAGS, Flag};
use std::collections::BTreeMap;

/// Values by flag name, with where each came from.
#[derive(Debug, Clone, Default)]
pub struct Values {
    set: BTreeMap<&'static str, String>,
    /// Things worth a line in the log once logging is set up.
    pub notes: Vec<String>,
}

impl Values {
    /// The value in force: what was given, else the default.
    pub fn get(&self, name: &str) -> &str {
        match self.set.get(name) {
            Some(value) => value,
            None => spec::find(name).map_or("", |flag| flag.default),
        }
    }

    /// Whether the flag was given at all.
    pub fn is_set(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    /// Boolean flags; their text was checked when it was set.
    pub fn flag(&self, name: &str) -> bool {
        parse_bool(self.get(name)).unwrap_or(false)
    }

    /// Integers that fit; their text was checked when it was set.
    pub fn number<T: TryFrom<i128>>(&self, name: &str) -> Option<T> {
        self.get(name)
            .parse::<i128>()
            .ok()
            .and_then(|n| T::try_from(n).ok())
    }

    /// Comma-separated lists without empty parts.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.get(name)
            .split(',')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn set(&mut self, flag: &'static Flag, value: String) -> Result<(), String> {
        value::check(flag.kind, &value)?;
        self.set.insert(flag.name, value);
        Ok(())
    }

    /// Flags given with another value than the default.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (&'static Flag, &str)> {
        self.set.iter().filter_map(|(name, value)| {
            let flag = FLAGS.iter().find(|flag| flag.name == *name)?;
            (!value::same(flag.kind, value, flag.default)).then_some((flag, value.as_str()))
        })
    }
}

pub(crate) use spec::Support;
