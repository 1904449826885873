//! Where in an object a value is.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The way from the object's root to one value, printed as `spec.containers[0].env[PATH]`.
///
/// Each step shares its parents, so a child costs one small allocation and text is made only for an error.
#[derive(Clone, Debug)]
pub struct Path(Arc<Node>);

#[derive(Debug)]
struct Node {
    step: Step,
    parent: Option<Path>,
}

#[derive(Debug)]
enum Step {
    Field(Cow<'static, str>),
    Index(usize),
    Key(String),
}

impl Path {
    /// A path of one field. The name may hold dots: `Path::new("spec.template")` prints the same as two steps.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Path {
        Path(Arc::new(Node {
            step: Step::Field(name.into()),
            parent: None,
        }))
    }

    /// A field of the value at this path.
    pub fn child(&self, name: impl Into<Cow<'static, str>>) -> Path {
        self.then(Step::Field(name.into()))
    }

    /// An item of the list at this path.
    pub fn index(&self, index: usize) -> Path {
        self.then(Step::Index(index))
    }

    /// An entry of the map at this path.
    pub fn key(&self, key: impl Into<String>) -> Path {
        self.then(Step::Key(key.into()))
    }

    fn then(&self, step: Step) -> Path {
        Path(Arc::new(Node {
            step,
            parent: Some(self.clone()),
        }))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut steps = Vec::new();
        let mut next = Some(self);
        while let Some(Path(node)) = next {
            steps.push(&node.step);
            next = node.parent.as_ref();
        }
        for (i, step) in steps.into_iter().rev().enumerate() {
            match step {
                // As in Go, what has no name counts as an index that is empty.
                Step::Field(name) if name.is_empty() => f.write_str("[]")?,
                Step::Field(name) if i > 0 => write!(f, ".{name}")?,
                Step::Field(name) => f.write_str(name)?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => write!(f, "[{key}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_fields_indexes_and_keys() {
        let containers = Path::new("spec").child("containers");
        assert_eq!(containers.to_string(), "spec.containers");
        assert_eq!(
            containers.index(2).child("env").key("PATH").to_string(),
            "spec.containers[2].env[PATH]"
        );
        assert_eq!(
            Path::new("items").index(0).index(1).to_string(),
            "items[0][1]"
        );
    }
}
