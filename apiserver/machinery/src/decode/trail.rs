//! The way from the root to the value being decoded, kept on the stack and printed only when something is wrong.

use std::fmt::Write as _;

#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

#[derive(Clone, Copy)]
pub(super) struct Trail<'a> {
    parent: Option<&'a Trail<'a>>,
    step: Step<'a>,
}

impl<'a> Trail<'a> {
    pub(super) const ROOT: Trail<'static> = Trail {
        parent: None,
        step: Step::Root,
    };

    pub(super) fn key(&'a self, key: &'a str) -> Trail<'a> {
        Trail {
            parent: Some(self),
            step: Step::Key(key),
        }
    }

    pub(super) fn index(&'a self, index: usize) -> Trail<'a> {
        Trail {
            parent: Some(self),
            step: Step::Index(index),
        }
    }

    fn steps(&self) -> Vec<Step<'a>> {
        let mut steps = Vec::new();
        let mut next = Some(self);
        while let Some(trail) = next {
            steps.push(trail.step);
            next = trail.parent;
        }
        steps.reverse();
        steps
    }

    /// The path of a field of this value: `spec.containers[0].x`.
    pub(super) fn field(&self, name: &str) -> String {
        let mut path = String::new();
        for step in self.steps() {
            match step {
                Step::Root => {}
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => {
                    path.push('.');
                    path.push_str(key);
                }
                Step::Index(i) => write!(path, "[{i}]").expect("writing to a String does not fail"),
            }
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        path
    }
}
