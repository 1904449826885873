//! Sets of completion indexes, in the form of a job's status: `1,3-5,7`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Indexes in order; all are below the number of completions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(BTreeSet<i32>);

impl Indexes {
    /// What a status says; what is not below `completions`, or not understood, does not count.
    pub(super) fn parse(text: &str, completions: i32) -> Self {
        let mut all = BTreeSet::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            if let (Ok(first), Ok(last)) = (first.parse::<i32>(), last.parse::<i32>()) {
                all.extend(first.max(0)..=last.min(completions - 1));
            }
        }
        Self(all)
    }

    pub(super) fn has(&self, index: i32) -> bool {
        self.0.contains(&index)
    }

    pub(super) fn insert(&mut self, index: i32) -> bool {
        self.0.insert(index)
    }

    pub(super) fn len(&self) -> i32 {
        i32::try_from(self.0.len()).unwrap_or(i32::MAX)
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// How many of these are in `other`.
    pub(super) fn common(&self, other: &Self) -> i32 {
        let common = self.0.intersection(&other.0).count();
        i32::try_from(common).unwrap_or(i32::MAX)
    }

    /// The form of a status: two in a row are written apart, more as a range.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut all = self.0.iter().copied().peekable();
        while let Some(first) = all.next() {
            let mut last = first;
            while let Some(next) = all.next_if_eq(&(last + 1)) {
                last = next;
            }
            if !text.is_empty() {
                text.push(',');
            }
            // Writing to a string does not fail.
            let _ = match last - first {
                0 => write!(text, "{first}"),
                1 => write!(text, "{first},{last}"),
                _ => write!(text, "{first}-{last}"),
            };
        }
        text
    }
}

impl FromIterator<i32> for Indexes {
    fn from_iter<I: IntoIterator<Item = i32>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_as_upstream_writes_them() {
        for (text, completions, expected, count) in [
            ("", 10, "", 0),
            ("0", 10, "0", 1),
            ("0,1", 10, "0,1", 2),
            ("0-1", 10, "0,1", 2),
            ("0,1,2", 10, "0-2", 3),
            ("1,3-5,7", 10, "1,3-5,7", 5),
            ("1,3-5,7", 5, "1,3,4", 3),
            ("0-99", 3, "0-2", 3),
            ("x,-1,2", 10, "2", 1),
        ] {
            let parsed = Indexes::parse(text, completions);
            assert_eq!(parsed.text(), expected, "{text}");
            assert_eq!(parsed.len(), count, "{text}");
        }
    }
}
