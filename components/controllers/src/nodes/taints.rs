//! Lists of taints, and what tolerates them. A node has at most one taint of a key and effect.

use k8s_openapi::api::core::v1::{Taint, Toleration};

/// Whether one of the tolerations is meant for the taint.
pub(crate) fn is_tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    tolerations
        .iter()
        .any(|toleration| tolerates(toleration, taint))
}

/// Whether a toleration is meant for a taint.
pub(crate) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    fn text(text: &Option<String>) -> &str {
        text.as_deref().unwrap_or_default()
    }
    let effect = text(&toleration.effect);
    if !effect.is_empty() && effect != taint.effect {
        return false;
    }
    let key = text(&toleration.key);
    if !key.is_empty() && key != taint.key {
        return false;
    }
    match text(&toleration.operator) {
        // No key means all of them.
        "Exists" => true,
        "" | "Equal" => text(&toleration.value) == text(&taint.value),
        _ => false,
    }
}

/// Adds a taint, unless there is one of its key and effect.
pub(crate) fn with(taints: &mut Vec<Taint>, taint: Taint) {
    let is_same = |one: &Taint| one.key == taint.key && one.effect == taint.effect;
    if !taints.iter().any(is_same) {
        taints.push(taint);
    }
}

/// Takes a taint of this key and effect away.
pub(crate) fn without(taints: &mut Vec<Taint>, key: &str, effect: &str) {
    taints.retain(|taint| taint.key != key || taint.effect != effect);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn taint(key: &str, effect: &str) -> Taint {
        serde_json::from_value(json!({"key": key, "effect": effect, "value": "v"}))
            .expect("a taint")
    }

    #[test]
    fn there_is_one_taint_of_a_key_and_effect() {
        let mut taints = vec![taint("a", "NoSchedule")];
        with(&mut taints, taint("a", "NoExecute"));
        with(&mut taints, taint("a", "NoExecute"));
        assert_eq!(taints.len(), 2);
        without(&mut taints, "a", "NoSchedule");
        without(&mut taints, "b", "NoExecute");
        assert_eq!(taints, [taint("a", "NoExecute")]);
    }

    #[test]
    fn tolerations_are_for_taints_they_describe() {
        let taint = taint("a", "NoExecute");
        let cases: [(Value, bool); 7] = [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "a", "operator": "Exists"}), true),
            (json!({"key": "b", "operator": "Exists"}), false),
            (json!({"key": "a", "value": "v"}), true),
            (
                json!({"key": "a", "operator": "Equal", "value": "w"}),
                false,
            ),
            (
                json!({"key": "a", "operator": "Exists", "effect": "NoSchedule"}),
                false,
            ),
            (
                json!({"key": "a", "operator": "Exists", "effect": "NoExecute"}),
                true,
            ),
        ];
        for (toleration, expected) in cases {
            let one: Toleration = serde_json::from_value(toleration.clone()).expect("a toleration");
            assert_eq!(tolerates(&one, &taint), expected, "{toleration}");
            assert_eq!(is_tolerated(&taint, &[one]), expected, "{toleration}");
        }
    }
}
