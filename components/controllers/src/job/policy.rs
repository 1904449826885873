//! The policies by which a job judges its failed pods, and its success.

use k8s_openapi::api::batch::v1::{
    PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, SuccessPolicy,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::indexes::Indexes;

/// What the first rule that matches a failed pod says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    /// The job fails with this text.
    pub(super) fails_job: Option<String>,
    /// The index of the pod is given up.
    pub(super) fails_index: bool,
    /// The failure is as if it had not happened.
    pub(super) ignored: bool,
}

/// Rules are asked in their order; a pod that none matches counts as failed.
pub(super) fn judge(policy: Option<&PodFailurePolicy>, pod: &Pod) -> Judgement {
    let none = Judgement::default();
    let rules = policy.map(|policy| policy.rules.as_slice());
    for (at, rule) in rules.unwrap_or_default().iter().enumerate() {
        let matched = match (&rule.on_exit_codes, &rule.on_pod_conditions) {
            (Some(codes), _) => by_exit_code(pod, codes),
            (None, Some(conditions)) => by_condition(pod, conditions),
            (None, None) => None,
        };
        let Some(what) = matched else { continue };
        return match rule.action.as_str() {
            "FailJob" => Judgement {
                fails_job: Some(format!("{what} matching FailJob rule at index {at}")),
                ..none
            },
            "FailIndex" => Judgement {
                fails_index: true,
                ..none
            },
            "Ignore" => Judgement {
                ignored: true,
                ..none
            },
            "Count" => none,
            // One of a later version: as if it were not there.
            _ => continue,
        };
    }
    none
}

fn full_name(pod: &Pod) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!(
        "{}/{}",
        part(&pod.metadata.namespace),
        part(&pod.metadata.name)
    )
}

fn by_exit_code(pod: &Pod, codes: &PodFailurePolicyOnExitCodesRequirement) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    let all = containers.chain(status.init_container_statuses.iter().flatten());
    let named = |container: &&ContainerStatus| match &codes.container_name {
        Some(name) => *name == container.name,
        None => true,
    };
    let matches = |code: i32| match codes.operator.as_str() {
        "In" => codes.values.contains(&code),
        "NotIn" => !codes.values.contains(&code),
        _ => false,
    };
    all.filter(named).find_map(|container| {
        let ended = container.state.as_ref()?.terminated.as_ref()?;
        let code = ended.exit_code;
        (code != 0 && matches(code)).then(|| {
            let (container, pod) = (&container.name, full_name(pod));
            format!("Container {container} for pod {pod} failed with exit code {code}")
        })
    })
}

fn by_condition(pod: &Pod, patterns: &[PodFailurePolicyOnPodConditionsPattern]) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    patterns.iter().find_map(|pattern| {
        let wanted = pattern.status.as_deref().unwrap_or("True");
        let found = conditions
            .iter()
            .find(|c| c.type_ == pattern.type_ && c.status == wanted)?;
        let pod = full_name(pod);
        Some(format!("Pod {pod} has condition {}", found.type_))
    })
}

/// The text of the first rule that is met, if any.
pub(super) fn succeeded(
    policy: Option<&SuccessPolicy>,
    completions: i32,
    succeeded: &Indexes,
) -> Option<String> {
    let rules = policy.map(|policy| policy.rules.as_slice());
    let rules = rules.unwrap_or_default().iter().enumerate();
    let mut met = rules.filter(|(_, rule)| {
        let wanted = rule.succeeded_indexes.as_deref();
        let wanted = wanted.map(|text| Indexes::parse(text, completions));
        match (wanted, rule.succeeded_count) {
            (Some(wanted), None) => wanted.common(succeeded) == wanted.len(),
            (Some(wanted), Some(count)) => wanted.common(succeeded) >= count,
            (None, Some(count)) => succeeded.len() >= count,
            (None, None) => false,
        }
    });
    met.next()
        .map(|(at, _)| format!("Matched rules at index {at}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(container: &str, code: i32, condition: Option<&str>) -> Pod {
        let conditions = condition.map(|type_| json!([{"type": type_, "status": "True"}]));
        let pod = json!({
            "metadata": {"namespace": "ns", "name": "p"},
            "status": {
                "phase": "Failed",
                "conditions": conditions.unwrap_or(json!([])),
                "containerStatuses": [{"name": container, "image": "", "imageID": "", "ready": false,
                    "restartCount": 0, "state": {"terminated": {"exitCode": code}}}],
            },
        });
        serde_json::from_value(pod).expect("a pod")
    }

    fn rules(rules: Value) -> PodFailurePolicy {
        serde_json::from_value(json!({ "rules": rules })).expect("a policy")
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let policy = rules(json!([
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [42, 43]}},
            {"action": "FailIndex", "onExitCodes": {"operator": "NotIn", "values": [1, 2, 42]}},
            {"action": "Count", "onExitCodes": {"operator": "In", "values": [1]}},
        ]));
        let fails =
            "Container main for pod ns/p failed with exit code 42 matching FailJob rule at index 1";
        let judgement = |fails_job: Option<&str>, fails_index, ignored| Judgement {
            fails_job: fails_job.map(str::to_owned),
            fails_index,
            ignored,
        };
        for (pod, expected) in [
            (pod("main", 42, None), judgement(Some(fails), false, false)),
            (
                pod("main", 42, Some("DisruptionTarget")),
                judgement(None, false, true),
            ),
            (pod("side", 42, None), judgement(None, false, false)),
            (pod("side", 3, None), judgement(None, true, false)),
            (pod("main", 1, None), judgement(None, false, false)),
            (pod("main", 0, None), judgement(None, false, false)),
        ] {
            assert_eq!(judge(Some(&policy), &pod), expected);
        }
        assert_eq!(judge(None, &pod("main", 42, None)), Judgement::default());
        let policy = rules(json!([
            {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget"}]},
        ]));
        let text = "Pod ns/p has condition DisruptionTarget matching FailJob rule at index 0";
        let found = judge(Some(&policy), &pod("main", 1, Some("DisruptionTarget")));
        assert_eq!(found.fails_job.as_deref(), Some(text));
    }

    #[test]
    fn success_is_what_a_rule_says() {
        let policy = |rules: Value| -> SuccessPolicy {
            serde_json::from_value(json!({ "rules": rules })).expect("a policy")
        };
        for (rules, have, met) in [
            (json!([{"succeededIndexes": "0-2"}]), "0-2", Some(0)),
            (json!([{"succeededIndexes": "0-2"}]), "0,2,5", None),
            (
                json!([{"succeededIndexes": "0-2", "succeededCount": 2}]),
                "0,2,5",
                Some(0),
            ),
            (json!([{"succeededCount": 4}]), "0,2,5", None),
            (
                json!([{"succeededCount": 4}, {"succeededIndexes": "5"}]),
                "0,2,5",
                Some(1),
            ),
        ] {
            let found = succeeded(Some(&policy(rules.clone())), 10, &Indexes::parse(have, 10));
            let expected = met.map(|at| format!("Matched rules at index {at}"));
            assert_eq!(found, expected, "{rules} with {have}");
        }
    }
}
