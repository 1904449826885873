//! The `LabelSelector` object inside other objects.

use super::requirement::{Operator, Requirement};
use super::{LabelSelector, SelectorError};
use crate::gofmt::quote;
use crate::validate::label_value;
use serde_json::Value;

/// The selector an object means: null matches nothing, `{}` everything.
pub fn from_label_selector(selector: &Value) -> Result<LabelSelector, SelectorError> {
    if selector.is_null() {
        return Ok(LabelSelector::nothing());
    }
    let mut requirements = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        let values = vec![value.as_str().unwrap_or_default().to_owned()];
        requirements.push(checked(key, Operator::Equals, values)?);
    }
    for expression in selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let key = expression["key"].as_str().unwrap_or_default();
        let operator = match expression["operator"].as_str().unwrap_or_default() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => {
                let message = format!("{} is not a valid label selector operator", quote(other));
                return Err(SelectorError::new(message));
            }
        };
        let values = expression["values"].as_array().into_iter().flatten();
        let values = values
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        requirements.push(checked(key, operator, values)?);
    }
    Ok(LabelSelector::new(requirements))
}

fn checked(
    key: &str,
    operator: Operator,
    values: Vec<String>,
) -> Result<Requirement, SelectorError> {
    Requirement::new(key, operator, values).map_err(|e| SelectorError::new(e.to_string()))
}

/// Whether an expression's value is no label value: such a stored object may stay as it is on update.
pub fn has_invalid_label_value(selector: &Value) -> bool {
    let expressions = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    expressions
        .flat_map(|e| e["values"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .any(|value| !label_value(value).is_empty())
}
