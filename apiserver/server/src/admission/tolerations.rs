//! DefaultTolerationSeconds: how long a pod stays on a node that is gone, unless it says so itself.

use serde_json::{Value, json};

/// Upstream's five minutes.
const SECONDS: i64 = 300;

pub(super) fn admit(pod: &mut Value) {
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let tolerates = |toleration: &Value| {
            let own = toleration["key"].as_str().unwrap_or_default();
            let effect = toleration["effect"].as_str().unwrap_or_default();
            (own == key || own.is_empty()) && matches!(effect, "NoExecute" | "")
        };
        let tolerations = &mut pod["spec"]["tolerations"];
        if tolerations.is_null() {
            *tolerations = json!([]);
        }
        let Some(list) = tolerations.as_array_mut() else {
            return;
        };
        if !list.iter().any(tolerates) {
            list.push(json!({
                "key": key,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": SECONDS,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_pod_says_stays() {
        let mut pod = json!({"spec": {"tolerations": [
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5},
        ]}});
        admit(&mut pod);
        let list = pod["spec"]["tolerations"].as_array().unwrap();
        let seconds: Vec<_> = list
            .iter()
            .map(|t| t["tolerationSeconds"].as_i64())
            .collect();
        assert_eq!(seconds, [Some(5), Some(300)]);
        let mut pod = json!({"spec": {"tolerations": [{"operator": "Exists"}]}});
        admit(&mut pod);
        assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 1);
    }
}
