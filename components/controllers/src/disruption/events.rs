//! What is told about budgets.

use std::fmt::Write as _;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The text about pods that nobody controls, in upstream's words.
pub(super) fn unmanaged(selector: Option<&LabelSelector>) -> String {
    let selector = selector.map_or_else(|| "nil".to_owned(), shown);
    format!(
        "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, the \
         status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these \
         pods please set \".spec.minAvailable\" field of the PDB to an integer value."
    )
}

/// A selector as Go prints it.
fn shown(selector: &LabelSelector) -> String {
    let mut text = String::from("&LabelSelector{MatchLabels:map[string]string{");
    for (name, value) in selector.match_labels.iter().flatten() {
        write!(text, "{name}: {value},").expect("writing to a string does not fail");
    }
    text.push_str("},MatchExpressions:[]LabelSelectorRequirement{");
    for one in selector.match_expressions.iter().flatten() {
        let values = one.values.as_deref().unwrap_or_default().join(" ");
        let (key, operator) = (&one.key, &one.operator);
        write!(
            text,
            "LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},"
        )
        .expect("writing to a string does not fail");
    }
    text.push_str("},}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_are_shown_as_go_shows_them() {
        let selector = json!({
            "matchLabels": {"app": "web", "b": "c"},
            "matchExpressions": [{"key": "k", "operator": "In", "values": ["x", "y"]}],
        });
        let selector: LabelSelector = serde_json::from_value(selector).expect("a selector");
        let expected = "&LabelSelector{MatchLabels:map[string]string{app: web,b: c,},\
            MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}";
        assert_eq!(shown(&selector), expected);
    }
}
