//! Selectors, compiled once and matched often.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Labels as objects have them; `None` is no labels.
pub(crate) type Labels = Option<BTreeMap<String, String>>;

pub(crate) fn label<'a>(labels: &'a Labels, key: &str) -> Option<&'a str> {
    labels.as_ref()?.get(key).map(String::as_str)
}

/// A label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    Nothing,
    /// All of them; none at all match everything.
    All(Vec<Requirement>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
    Gt(i64),
    Lt(i64),
    /// Not valid: matches nothing.
    Never,
}

impl Requirement {
    fn new(key: &str, operator: &str, values: Option<&Vec<String>>) -> Self {
        let values = || values.cloned().unwrap_or_default();
        let number = |make: fn(i64) -> Operator| match values().as_slice() {
            [one] => one.parse().map_or(Operator::Never, make),
            _ => Operator::Never,
        };
        let operator = match operator {
            "In" => Operator::In(values()),
            "NotIn" => Operator::NotIn(values()),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            "Gt" => number(Operator::Gt),
            "Lt" => number(Operator::Lt),
            _ => Operator::Never,
        };
        Self {
            key: key.to_owned(),
            operator,
        }
    }

    pub(crate) fn equals(key: &str, value: &str) -> Self {
        Self {
            key: key.to_owned(),
            operator: Operator::In(vec![value.to_owned()]),
        }
    }

    fn of_node(requirement: &NodeSelectorRequirement) -> Self {
        Self::new(
            &requirement.key,
            &requirement.operator,
            requirement.values.as_ref(),
        )
    }

    fn matches(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.operator {
            Operator::In(values) => value.is_some_and(|v| values.iter().any(|one| one == v)),
            Operator::NotIn(values) => value.is_none_or(|v| values.iter().all(|one| one != v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt(than) => number().is_some_and(|number| number > *than),
            Operator::Lt(than) => number().is_some_and(|number| number < *than),
            Operator::Never => false,
        }
    }
}

impl Selector {
    /// As apimachinery reads it: no selector is nothing, an empty one is everything.
    pub(crate) fn new(selector: Option<&LabelSelector>) -> Self {
        let Some(selector) = selector else {
            return Self::Nothing;
        };
        let labels = selector.match_labels.iter().flatten();
        let mut all: Vec<_> = labels
            .map(|(key, value)| Requirement::equals(key, value))
            .collect();
        for one in selector.match_expressions.iter().flatten() {
            all.push(Requirement::new(
                &one.key,
                &one.operator,
                one.values.as_ref(),
            ));
        }
        Self::All(all)
    }

    /// All of these labels.
    pub(crate) fn labels<'a>(labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let labels = labels.into_iter();
        Self::All(labels.map(|(k, v)| Requirement::equals(k, v)).collect())
    }

    /// Matches what both match.
    pub(crate) fn and(self, more: Self) -> Self {
        match (self, more) {
            (Self::All(mut all), Self::All(more)) => {
                all.extend(more);
                Self::All(all)
            }
            _ => Self::Nothing,
        }
    }

    /// Whether it requires nothing, and so matches everything.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::All(all) if all.is_empty())
    }

    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::Nothing => false,
            Self::All(all) => all.iter().all(|one| one.matches(label(labels, &one.key))),
        }
    }
}

/// One of the alternatives of a node selector.
#[derive(Clone, Debug)]
pub(crate) struct NodeTerm {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

impl NodeTerm {
    pub(crate) fn new(term: &NodeSelectorTerm) -> Self {
        let all = |requirements: &Option<Vec<NodeSelectorRequirement>>| {
            let requirements = requirements.iter().flatten();
            requirements.map(Requirement::of_node).collect()
        };
        Self {
            labels: all(&term.match_expressions),
            fields: all(&term.match_fields),
        }
    }

    /// A term without requirements matches no node.
    pub(crate) fn matches(&self, name: &str, labels: &Labels) -> bool {
        if self.labels.is_empty() && self.fields.is_empty() {
            return false;
        }
        let field = |key: &str| (key == "metadata.name").then_some(name);
        self.labels
            .iter()
            .all(|one| one.matches(label(labels, &one.key)))
            && self.fields.iter().all(|one| one.matches(field(&one.key)))
    }

    /// The names it is limited to, if any.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        let mut names: Option<Vec<String>> = None;
        for one in &self.fields {
            if let Operator::In(values) = &one.operator
                && one.key == "metadata.name"
            {
                names = Some(match names {
                    None => values.clone(),
                    Some(names) => names.into_iter().filter(|n| values.contains(n)).collect(),
                });
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn node_terms_match_as_upstream_documents_them() {
        let labels = Some(BTreeMap::from([
            ("zone".to_owned(), "a".to_owned()),
            ("gen".to_owned(), "7".to_owned()),
        ]));
        let expression = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (term, matches) in [
            (expression("zone", "In", &["a", "b"]), true),
            (expression("zone", "In", &["b"]), false),
            (expression("zone", "NotIn", &["b"]), true),
            (expression("none", "NotIn", &["b"]), true),
            (expression("none", "Exists", &[]), false),
            (expression("none", "DoesNotExist", &[]), true),
            (expression("gen", "Gt", &["6"]), true),
            (expression("gen", "Gt", &["7"]), false),
            (expression("gen", "Lt", &["8"]), true),
            (expression("zone", "Lt", &["8"]), false),
            (expression("none", "Gt", &["0"]), false),
            (json!({}), false),
            (
                json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}),
                true,
            ),
            (
                json!({"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n1"]}]}),
                false,
            ),
        ] {
            let parsed = serde_json::from_value(term.clone()).expect("a term");
            assert_eq!(
                NodeTerm::new(&parsed).matches("n1", &labels),
                matches,
                "{term}"
            );
        }
    }
}
