//! System namespaces, priority classes and the service `kubernetes`: created if they are missing.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use mainstay_kinds::Part;
use mainstay_machinery::status::StatusError;
use serde_json::{Value, json};

use super::write::{Rules, change, ensure, resource};
use crate::registry::{Registry, now};

/// Namespaces every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Creates what is missing.
pub(crate) async fn bootstrap(
    registry: &Registry,
    range: Ipv4Net,
    port: u16,
) -> Result<(), StatusError> {
    for name in NAMESPACES {
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name },
        });
        ensure(registry, resource("", "namespaces")?, object).await?;
    }
    for (name, value) in [
        ("system-cluster-critical", 2_000_000_000_i64),
        ("system-node-critical", 2_000_001_000),
    ] {
        let object = json!({
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": { "name": name },
            "value": value,
            "description": "Used for system critical pods.",
        });
        ensure(
            registry,
            resource("scheduling.k8s.io", "priorityclasses")?,
            object,
        )
        .await?;
    }
    let object = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": { "name": "kubernetes" },
        "spec": { "cidrs": [range.to_string()] },
    });
    ensure(
        registry,
        resource("networking.k8s.io", "servicecidrs")?,
        object,
    )
    .await?;
    range_is_ready(registry).await?;
    service(registry, range, port).await
}

/// Says of the server's own range that it can be used, as its controller upstream does. Another server may be faster.
async fn range_is_ready(registry: &Registry) -> Result<(), StatusError> {
    let resource = resource("networking.k8s.io", "servicecidrs")?;
    let is_told = |object: &Value| {
        let conditions = object["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|condition| condition["type"] == "Ready")
    };
    let known = registry.find(resource, "", "kubernetes").await?;
    if known.is_none_or(|known| is_told(&known)) {
        return Ok(());
    }
    let told = |current: Option<&Value>| {
        let mut object = current.cloned().unwrap_or_default();
        if !is_told(&object) {
            object["status"]["conditions"] = json!([{
                "type": "Ready",
                "status": "True",
                "lastTransitionTime": now(),
                "reason": "",
                "message": "Kubernetes default Service CIDR is ready",
            }]);
        }
        Ok(object)
    };
    let place = ("", "kubernetes");
    change(registry, resource, place, Part::Status, Rules::Anew, &told).await
}

/// The service that pods reach the API by, at the first address of the range.
async fn service(registry: &Registry, range: Ipv4Net, port: u16) -> Result<(), StatusError> {
    let first = Ipv4Addr::from(u32::from(range.network()).saturating_add(1));
    let object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": { "component": "apiserver", "provider": "kubernetes" },
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": first.to_string(),
            "sessionAffinity": "None",
            "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": port }],
        },
    });
    ensure(registry, resource("", "services")?, object).await
}
