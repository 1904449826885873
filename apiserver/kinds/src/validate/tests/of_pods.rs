//! Pods: what may be written in them, and what of them may change.

use super::{created, pod_of, updated};
use crate::strategy::Part;
use serde_json::{Value, json};

#[test]
fn a_good_pod_is_good() {
    let pod = json!({"spec": {
        "containers": [{
            "name": "c", "image": "i:1", "ports": [{"containerPort": 80, "name": "http"}],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}}],
            "resources": {"requests": {"cpu": "1", "example.com/gpu": 1}, "limits": {"example.com/gpu": 1}},
            "livenessProbe": {"httpGet": {"port": "http"}},
        }],
        "volumes": [{"name": "v", "configMap": {"name": "m"}}],
        "tolerations": [{"operator": "Exists"}],
    }});
    assert!(created("", "Pod", pod).is_empty());
}

#[test]
fn containers() {
    for (container, says) in [
        (
            json!({"name": ""}),
            vec!["spec.containers[0].name: Required value"],
        ),
        (
            json!({"image": ""}),
            vec!["spec.containers[0].image: Required value"],
        ),
        (
            json!({"image": " i"}),
            vec![
                r#"spec.containers[0].image: Invalid value: " i": must not have leading or trailing whitespace"#,
            ],
        ),
        (
            json!({"imagePullPolicy": "Soon"}),
            vec![
                r#"spec.containers[0].imagePullPolicy: Unsupported value: "Soon": supported values: "Always", "IfNotPresent", "Never""#,
            ],
        ),
        (
            json!({"ports": [{"containerPort": 0}]}),
            vec!["spec.containers[0].ports[0].containerPort: Required value"],
        ),
        (
            json!({"ports": [{"containerPort": 70000}]}),
            vec![
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            json!({"ports": [{"containerPort": 1, "protocol": "XYZ"}]}),
            vec![
                r#"spec.containers[0].ports[0].protocol: Unsupported value: "XYZ": supported values: "SCTP", "TCP", "UDP""#,
            ],
        ),
        (
            json!({"volumeMounts": [{"name": "gone", "mountPath": "/a"}]}),
            vec![r#"spec.containers[0].volumeMounts[0].name: Not found: "gone""#],
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {}}]}),
            vec![
                "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
            ],
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.restartPolicy"}}}]}),
            vec![
                r#"spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.restartPolicy": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs""#,
            ],
        ),
        (
            json!({"livenessProbe": {}}),
            vec!["spec.containers[0].livenessProbe: Required value: must specify a handler type"],
        ),
        (
            json!({"livenessProbe": {"exec": {"command": ["a"]}, "successThreshold": 2}}),
            vec!["spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"],
        ),
        (
            json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
            vec![
                r#"spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1"#,
            ],
        ),
        (
            json!({"resources": {"limits": {"cpu": "-1"}}}),
            vec![
                r#"spec.containers[0].resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0"#,
                r#"spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0"#,
            ],
        ),
        (
            json!({"resources": {"limits": {"wrong": "1"}}}),
            vec![
                r#"spec.containers[0].resources.limits[wrong]: Invalid value: "wrong": must be a standard resource type or fully qualified"#,
                r#"spec.containers[0].resources.limits[wrong]: Invalid value: "wrong": must be a standard resource for containers"#,
                r#"spec.containers[0].resources.requests[wrong]: Invalid value: "wrong": must be a standard resource type or fully qualified"#,
                r#"spec.containers[0].resources.requests[wrong]: Invalid value: "wrong": must be a standard resource for containers"#,
            ],
        ),
        (
            json!({"securityContext": {"runAsUser": -1}}),
            vec![
                "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ],
        ),
        (
            json!({"lifecycle": {"preStop": {"sleep": {"seconds": 99}}}}),
            vec![
                "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 99: must be non-negative and less than terminationGracePeriodSeconds (30)",
            ],
        ),
    ] {
        assert_eq!(
            created("", "Pod", pod_of(container.clone())),
            says,
            "{container}"
        );
    }
    assert_eq!(
        created("", "Pod", json!({"spec": {}})),
        ["spec.containers: Required value"]
    );
}

#[test]
fn specs_of_pods() {
    let with = |field: &str, value: Value| {
        let mut pod = pod_of(json!({}));
        pod["spec"][field] = value;
        created("", "Pod", pod)
    };
    for (field, value, says) in [
        (
            "restartPolicy",
            json!("Maybe"),
            r#"spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never""#,
        ),
        (
            "dnsPolicy",
            json!("None"),
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
        ),
        (
            "activeDeadlineSeconds",
            json!(0),
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ),
        (
            "tolerations",
            json!([{"key": "a", "tolerationSeconds": 1}]),
            "spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
        ),
        (
            "hostAliases",
            json!([{"ip": "x"}]),
            r#"spec.hostAliases[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#,
        ),
        (
            "volumes",
            json!([{"name": "v", "secret": {}}]),
            "spec.volumes[0].secret.secretName: Required value",
        ),
        (
            "volumes",
            json!([{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]),
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
        (
            "volumes",
            json!([{"name": "v", "hostPath": {"path": "a/../b"}}]),
            r#"spec.volumes[0].hostPath.path: Invalid value: "a/../b": must not contain '..'"#,
        ),
        (
            "topologySpreadConstraints",
            json!([{"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}]),
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
        ),
        (
            "affinity",
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}),
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term",
        ),
        (
            "affinity",
            json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "a", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]}}),
            "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        ),
        (
            "securityContext",
            json!({"sysctls": [{"name": "a.b"}, {"name": "a.b"}]}),
            r#"spec.securityContext.sysctls[1].name: Duplicate value: "a.b""#,
        ),
        (
            "ephemeralContainers",
            json!([{"name": "e", "image": "i"}]),
            "spec.ephemeralContainers: Forbidden: cannot be set on create",
        ),
    ] {
        assert_eq!(with(field, value.clone()), [says], "{field} {value}");
    }
}

#[test]
fn updates_of_pods() {
    let old = pod_of(json!({}));
    let mut image = old.clone();
    image["spec"]["containers"][0]["image"] = "i:2".into();
    assert!(updated("", "Pod", Part::Main, old.clone(), image).is_empty());
    let mut tolerated = old.clone();
    tolerated["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    assert!(updated("", "Pod", Part::Main, old.clone(), tolerated.clone()).is_empty());
    assert_eq!(
        updated("", "Pod", Part::Main, tolerated, old.clone()),
        [
            "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
        ]
    );
    let mut changed = old.clone();
    changed["spec"]["hostPID"] = true.into();
    let says = updated("", "Pod", Part::Main, old.clone(), changed);
    let prefix = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n";
    assert_eq!(says, [format!("{prefix}spec.hostPID: null -> true\n")]);
    let two = json!({"spec": {"containers": [{"name": "c", "image": "i:1"}, {"name": "d", "image": "i"}]}});
    assert_eq!(
        updated("", "Pod", Part::Main, old, two),
        ["spec.containers: Forbidden: pod updates may not add or remove containers"]
    );
}
