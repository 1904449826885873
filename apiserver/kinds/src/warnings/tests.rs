//! Objects that are accepted with a word of warning.

use super::*;
use serde_json::json;

fn warned(group: &str, kind: &str, object: Value) -> Vec<String> {
    warnings(KindRef::new(group, "v1", kind), &object, None)
}

#[test]
fn pods() {
    let pod = json!({
        "metadata": {"name": "a.b"},
        "spec": {
            "nodeSelector": {"beta.kubernetes.io/os": "linux"},
            "volumes": [{"gitRepo": {}}],
            "hostAliases": [{"ip": "1.1.1.1"}, {"ip": "1.1.1.1"}],
            "topologySpreadConstraints": [{"topologyKey": "zone"}],
            "terminationGracePeriodSeconds": -1,
            "containers": [{
                "name": "c",
                "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "A", "value": "$(A)3"}],
                "resources": {"limits": {"memory": "500m"}},
                "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "TCP"}],
            }],
        },
    });
    let expected = [
        "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
        r#"spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead"#,
        "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
        "spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+",
        r#"spec.hostAliases[1].ip: duplicate ip "1.1.1.1""#,
        r#"spec.containers[0].resources.limits[memory]: fractional byte value "500m" is invalid, must be an integer"#,
        r#"spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply"#,
        "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
        "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
    ];
    assert_eq!(warned("", "Pod", pod), expected);
}

#[test]
fn templates_say_where_they_are() {
    let template = json!({"spec": {"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}});
    let deployment = json!({"metadata": {"name": "d"}, "spec": {"template": template}});
    let expected = [r#"spec.template.spec.imagePullSecrets[1].name: duplicate name "a""#];
    assert_eq!(warned("apps", "Deployment", deployment.clone()), expected);
    let unchanged = warnings(
        KindRef::new("apps", "v1", "Deployment"),
        &deployment,
        Some(&deployment),
    );
    assert!(
        unchanged.is_empty(),
        "an update that leaves the template alone is silent"
    );
}

#[test]
fn services_and_others() {
    for (group, kind, object, expected) in [
        (
            "",
            "Service",
            json!({"spec": {"type": "ClusterIP", "externalIPs": ["1.1.1.1"]}}),
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
        ),
        (
            "",
            "Service",
            json!({"spec": {"type": "ClusterIP", "clusterIP": "None", "sessionAffinity": "ClientIP"}}),
            "spec.SessionAffinity is ignored for headless services",
        ),
        (
            "",
            "PersistentVolumeClaim",
            json!({"spec": {"resources": {"requests": {"storage": "1m"}}}}),
            r#"spec.resources.requests[storage]: fractional byte value "1m" is invalid, must be an integer"#,
        ),
        (
            "networking.k8s.io",
            "Ingress",
            json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "a"}}}),
            r#"annotation "kubernetes.io/ingress.class" is deprecated, please use 'spec.ingressClassName' instead"#,
        ),
    ] {
        assert_eq!(warned(group, kind, object), [expected], "{kind}");
    }
    assert!(deprecation(KindRef::new("", "v1", "Endpoints")).is_some());
}
