//! One condition on one label.

use crate::field::{Error, ErrorList, Path};
use crate::validate::{label_value, qualified_name};
use std::fmt;

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `key=value`.
    Equals,
    /// `key==value`, the same.
    DoubleEquals,
    /// `key!=value`, true where the label is absent.
    NotEquals,
    /// `key in (a,b)`.
    In,
    /// `key notin (a,b)`, true where the label is absent.
    NotIn,
    /// `key`.
    Exists,
    /// `!key`.
    DoesNotExist,
    /// `key>1`, for whole numbers.
    GreaterThan,
    /// `key<1`, for whole numbers.
    LessThan,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    key: String,
    operator: Operator,
    /// Sorted and distinct.
    values: Vec<String>,
    /// What `>` and `<` compare with.
    number: i64,
}

impl Requirement {
    /// A condition, checked as upstream checks it.
    pub fn new(
        key: impl Into<String>,
        operator: Operator,
        mut values: Vec<String>,
    ) -> Result<Requirement, ErrorList> {
        let key = key.into();
        values.sort_unstable();
        values.dedup();
        let mut errors = ErrorList::new();
        let messages = qualified_name(&key);
        if !messages.is_empty() {
            errors.push(Error::invalid(
                &Path::new("key"),
                key.as_str(),
                messages.join("; "),
            ));
        }
        let mut number = 0;
        check_values(operator, &values, &mut number, &mut errors);
        let path = Path::new("values");
        for (i, value) in values.iter().enumerate() {
            let messages = label_value(value);
            if !messages.is_empty() {
                let path = path.index(i).key(key.as_str());
                errors.push(Error::invalid(&path, value.as_str(), messages.join("; ")));
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Requirement {
            key,
            operator,
            values,
            number,
        })
    }

    /// The label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How it is compared.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// What it is compared with, sorted.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether the condition holds for a label's value, None where the label is absent.
    pub fn matches(&self, label: Option<&str>) -> bool {
        let has = |value: &str| self.values.iter().any(|v| v == value);
        match (self.operator, label) {
            (Operator::In | Operator::Equals | Operator::DoubleEquals, Some(value)) => has(value),
            (Operator::NotIn | Operator::NotEquals, Some(value)) => !has(value),
            (Operator::NotIn | Operator::NotEquals, None) => true,
            (Operator::Exists, label) => label.is_some(),
            (Operator::DoesNotExist, label) => label.is_none(),
            (Operator::GreaterThan, Some(value)) => {
                value.parse::<i64>().is_ok_and(|n| n > self.number)
            }
            (Operator::LessThan, Some(value)) => {
                value.parse::<i64>().is_ok_and(|n| n < self.number)
            }
            (_, None) => false,
        }
    }
}

fn check_values(operator: Operator, values: &[String], number: &mut i64, errors: &mut ErrorList) {
    let path = Path::new("values");
    let wrong = match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            "for 'in', 'notin' operators, values set can't be empty"
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
            "exact-match compatibility requires one single value"
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            "values set must be empty for exists and does not exist"
        }
        Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
            "for 'Gt', 'Lt' operators, exactly one value is required"
        }
        Operator::GreaterThan | Operator::LessThan => {
            match values[0].parse() {
                Ok(parsed) => *number = parsed,
                Err(_) => errors.push(Error::invalid(
                    &path.index(0),
                    values[0].as_str(),
                    "for 'Gt', 'Lt' operators, the value must be an integer",
                )),
            }
            return;
        }
        _ => return,
    };
    errors.push(Error::invalid(&path, values, wrong));
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.join(",");
        let key = &self.key;
        match self.operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}
