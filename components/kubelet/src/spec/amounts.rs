//! Resources of a container as texts: `resourceFieldRef`.

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use mainstay_client::quantity::{milli, whole};

use super::error::ConfigError;
use super::node_facts::NodeFacts;
use super::qos::containers;

/// The amount that is asked for, in units of the divisor and rounded up; where the container has no limit, what a
/// pod can have of the node. `own` is the container whose variable it is; files have none and must name one.
///
/// # Errors
/// If there is no such container or resource.
pub(crate) fn amount(
    selector: &ResourceFieldSelector,
    pod: &Pod,
    own: Option<&Container>,
    node: &NodeFacts,
) -> Result<String, ConfigError> {
    let named = selector.container_name.as_deref().filter(|n| !n.is_empty());
    let container = match (named, own) {
        (None, Some(own)) => own,
        (named, _) => {
            let name = named.unwrap_or_default();
            let spec = pod.spec.as_ref();
            spec.and_then(|spec| containers(spec).find(|container| container.name == name))
                .ok_or_else(|| ConfigError::new(format!("container {name} not found")))?
        }
    };
    let (list, name) = selector
        .resource
        .split_once('.')
        .filter(|(list, name)| matches!(*list, "limits" | "requests") && is_known(name))
        .ok_or_else(|| {
            let what = &selector.resource;
            ConfigError::new(format!("unsupported container resource : {what}"))
        })?;
    let resources = container.resources.as_ref();
    let given = match list {
        "limits" => resources.and_then(|resources| resources.limits.as_ref()),
        _ => resources.and_then(|resources| resources.requests.as_ref()),
    };
    let given = given
        .and_then(|given| given.get(name))
        .filter(|q| milli(q) != 0);
    let defaulted = match list {
        "limits" => given.or_else(|| node.allocatable.get(name)),
        _ => given,
    };
    // CPUs are counted in thousandths, so that 1m can be a divisor; bytes are whole.
    let count = if name == "cpu" { milli } else { whole };
    let divisor = selector.divisor.as_ref().map_or(0, count);
    let divisor = match (divisor, name) {
        (0, "cpu") => 1000,
        (0, _) => 1,
        (divisor, _) => divisor,
    };
    let value = defaulted.map_or(0, count);
    let rounded_up = value / divisor + i64::from(value % divisor > 0);
    Ok(rounded_up.to_string())
}

fn is_known(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{facts, pod};

    /// The node of these tests can give pods 4 CPUs and 8Gi.
    #[test]
    fn amounts_are_rounded_up() {
        let pod = pod(
            "containers: [{name: a, resources: {requests: {cpu: 1250m, memory: 100Mi}, \
                       limits: {cpu: '2', hugepages-2Mi: 4Mi}}}, {name: b}]",
        );
        let own = &pod.spec.as_ref().expect("has one").containers[0];
        for (selector, expected) in [
            ("{resource: requests.cpu}", Ok("2")),
            ("{resource: requests.cpu, divisor: 1m}", Ok("1250")),
            ("{resource: requests.cpu, divisor: '0'}", Ok("2")),
            ("{resource: limits.cpu}", Ok("2")),
            ("{resource: requests.memory}", Ok("104857600")),
            ("{resource: requests.memory, divisor: 1Mi}", Ok("100")),
            ("{resource: requests.memory, divisor: 64Mi}", Ok("2")),
            ("{resource: limits.memory, divisor: 1Gi}", Ok("8")),
            ("{resource: limits.cpu, containerName: b}", Ok("4")),
            ("{resource: requests.cpu, containerName: b}", Ok("0")),
            ("{resource: limits.hugepages-2Mi}", Ok("4194304")),
            (
                "{resource: limits.pods}",
                Err("unsupported container resource : limits.pods"),
            ),
            (
                "{resource: requests.cpu, containerName: c}",
                Err("container c not found"),
            ),
        ] {
            let parsed = serde_yaml_ng::from_str(selector).expect("a selector");
            let read = amount(&parsed, &pod, Some(own), &facts());
            let read = read.as_deref().map_err(ToString::to_string);
            assert_eq!(read, expected.map_err(str::to_owned), "{selector}");
        }
    }
}
