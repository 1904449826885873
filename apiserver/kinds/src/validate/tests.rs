//! Objects and what upstream says is wrong with them, as clients see it.

mod of_pods;

use super::*;
use crate::defaults::default_object;
use serde_json::json;

fn texts(errors: ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// A defaulted object with good metadata.
fn complete(group: &str, kind: &str, mut object: Value) -> Value {
    let named = KindRef::new(group, "v1", kind);
    crate::value::set(&mut object, "metadata.name", "a");
    if is_namespaced(named) {
        crate::value::set(&mut object, "metadata.namespace", "default");
    }
    crate::value::set(&mut object, "metadata.uid", "u");
    crate::value::set(&mut object, "metadata.resourceVersion", "1");
    default_object(named, &mut object);
    object
}

fn created(group: &str, kind: &str, object: Value) -> Vec<String> {
    let object = complete(group, kind, object);
    texts(validate_create(KindRef::new(group, "v1", kind), &object))
}

fn updated(group: &str, kind: &str, part: Part, old: Value, new: Value) -> Vec<String> {
    let (old, new) = (complete(group, kind, old), complete(group, kind, new));
    texts(validate_update(
        KindRef::new(group, "v1", kind),
        &new,
        &old,
        part,
    ))
}

fn pod_of(container: Value) -> Value {
    let mut container = container;
    for (field, default) in [("name", "c"), ("image", "i:1")] {
        if container.get(field).is_none() {
            container[field] = default.into();
        }
    }
    json!({"spec": {"containers": [container]}})
}

fn template() -> Value {
    let pod = pod_of(json!({}));
    json!({"metadata": {"labels": {"app": "a"}}, "spec": pod["spec"]})
}

#[test]
fn workloads() {
    let good = json!({"spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template()}});
    for kind in ["Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"] {
        assert_eq!(
            created("apps", kind, good.clone()),
            Vec::<String>::new(),
            "{kind}"
        );
        let mut other = good.clone();
        other["spec"]["selector"] = json!({"matchLabels": {"app": "b"}});
        assert_eq!(
            created("apps", kind, other.clone()),
            [
                r#"spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`"#
            ],
            "{kind}"
        );
        other["spec"]["template"]["metadata"]["labels"] = json!({"app": "b"});
        let says = updated("apps", kind, Part::Main, good.clone(), other);
        assert_eq!(
            says.len(),
            1,
            "{kind}: the selector cannot change: {says:?}"
        );
        let mut once = good.clone();
        once["spec"]["template"]["spec"]["restartPolicy"] = "Never".into();
        assert_eq!(
            created("apps", kind, once),
            [
                r#"spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always""#
            ]
        );
    }
    let mut surge = good.clone();
    surge["spec"]["strategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}});
    assert_eq!(
        created("apps", "Deployment", surge),
        [
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"
        ]
    );
    assert_eq!(
        created(
            "apps",
            "Deployment",
            json!({"spec": {"replicas": -1, "template": template()}})
        ),
        [
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.selector: Required value",
            r#"spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`"#,
        ]
    );
}

#[test]
fn jobs() {
    let once = |mut job: Value| {
        job["spec"]["template"]["spec"] = pod_of(json!({}))["spec"].clone();
        job["spec"]["template"]["spec"]["restartPolicy"] = "Never".into();
        let mut job = complete("batch", "Job", job);
        let context = crate::strategy::Context {
            now: "2026-01-02T03:04:05Z",
            user: crate::strategy::User::default(),
        };
        crate::strategy::prepare_for_create(KindRef::new("batch", "v1", "Job"), &mut job, &context);
        job
    };
    let kind = KindRef::new("batch", "v1", "Job");
    let job = once(json!({"spec": {}}));
    assert_eq!(texts(validate_create(kind, &job)), Vec::<String>::new());
    let mut changed = job.clone();
    changed["spec"]["completions"] = 5.into();
    assert_eq!(
        texts(validate_update(kind, &changed, &job, Part::Main)),
        ["spec.completions: Invalid value: 5: field is immutable"]
    );
    let indexed = once(json!({"spec": {"completionMode": "Indexed", "parallelism": 1}}));
    assert_eq!(
        texts(validate_create(kind, &indexed)),
        ["spec.completions: Required value: when completion mode is Indexed"]
    );
    let mut always = job;
    always["spec"]["template"]["spec"]["restartPolicy"] = "Always".into();
    assert_eq!(
        texts(validate_create(kind, &always)),
        [r#"spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never""#]
    );
    let mut template = template();
    template["spec"]["restartPolicy"] = "Never".into();
    let cron = json!({"spec": {"schedule": "* * * *", "timeZone": "Moon/Base", "jobTemplate": {"spec": {"template": template}}}});
    assert_eq!(
        created("batch", "CronJob", cron),
        [
            r#"spec.schedule: Invalid value: "* * * *": expected exactly 5 fields, found 4: [* * * *]"#,
            r#"spec.timeZone: Invalid value: "Moon/Base": unknown time zone Moon/Base"#,
        ]
    );
}

#[test]
fn services_and_networks() {
    for (group, kind, object, says) in [
        (
            "",
            "Service",
            json!({"spec": {}}),
            "spec.ports: Required value",
        ),
        (
            "",
            "Service",
            json!({"spec": {"ports": [{"port": 0, "targetPort": 1}]}}),
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            "",
            "Service",
            json!({"spec": {"ports": [{"port": 1, "nodePort": 30000}]}}),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            "",
            "Service",
            json!({"spec": {"type": "ExternalName"}}),
            "spec.externalName: Required value",
        ),
        (
            "",
            "Service",
            json!({"spec": {"type": "Magic", "ports": [{"port": 1}]}}),
            r#"spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort""#,
        ),
        (
            "",
            "Endpoints",
            json!({"subsets": [{"addresses": [{"ip": "127.0.0.1"}]}]}),
            r#"subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)"#,
        ),
        (
            "discovery.k8s.io",
            "EndpointSlice",
            json!({"addressType": "IPv4", "endpoints": [{"addresses": ["::1"]}]}),
            r#"endpoints[0].addresses[0]: Invalid value: "::1": must be an IPv4 address"#,
        ),
        (
            "networking.k8s.io",
            "Ingress",
            json!({"spec": {}}),
            "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified",
        ),
        (
            "networking.k8s.io",
            "Ingress",
            json!({"spec": {"rules": [{"host": "1.2.3.4"}]}}),
            r#"spec.rules[0].host: Invalid value: "1.2.3.4": must be a DNS name, not an IP address"#,
        ),
        (
            "networking.k8s.io",
            "Ingress",
            json!({"spec": {"defaultBackend": {"service": {"name": "a"}}}}),
            "spec.defaultBackend: Required value: port name or number is required",
        ),
        (
            "networking.k8s.io",
            "NetworkPolicy",
            json!({"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}]}}),
            r#"spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`"#,
        ),
    ] {
        assert_eq!(
            created(group, kind, object.clone()),
            [says],
            "{kind} {object}"
        );
    }
    let service = |address: &str| json!({"spec": {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 1}]}});
    assert_eq!(
        updated(
            "",
            "Service",
            Part::Main,
            service("10.0.0.1"),
            service("10.0.0.2")
        ),
        [r#"spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set"#]
    );
}

#[test]
fn configuration_and_storage() {
    for (group, kind, object, says) in [
        (
            "",
            "ConfigMap",
            json!({"data": {"a/b": ""}}),
            r#"data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"#,
        ),
        (
            "",
            "Secret",
            json!({"type": "kubernetes.io/ssh-auth"}),
            "data[ssh-privatekey]: Required value",
        ),
        (
            "",
            "Secret",
            json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "eA=="}}),
            r#"data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid character 'x' looking for beginning of value"#,
        ),
        (
            "",
            "PersistentVolumeClaim",
            json!({"spec": {"accessModes": ["ReadWriteOnce"]}}),
            "spec.resources[storage]: Required value",
        ),
        (
            "",
            "PersistentVolume",
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}}),
            "spec: Required value: must specify a volume type",
        ),
        (
            "storage.k8s.io",
            "StorageClass",
            json!({}),
            "provisioner: Required value",
        ),
        (
            "",
            "ResourceQuota",
            json!({"spec": {"hard": {"pods": "1.5"}}}),
            r#"spec.hard[pods]: Invalid value: "1500m": must be an integer"#,
        ),
        (
            "",
            "LimitRange",
            json!({"spec": {"limits": [{"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]}}),
            r#"spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1"#,
        ),
        (
            "policy",
            "PodDisruptionBudget",
            json!({"spec": {"minAvailable": "101%"}}),
            r#"spec.minAvailable: Invalid value: "101%": must not be greater than 100%"#,
        ),
        (
            "scheduling.k8s.io",
            "PriorityClass",
            json!({"value": 2_000_000_000}),
            "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
        ),
        (
            "rbac.authorization.k8s.io",
            "Role",
            json!({"rules": [{"verbs": ["get"], "apiGroups": [""]}]}),
            "rules[0].resources: Required value: resource rules must supply at least one resource",
        ),
        (
            "rbac.authorization.k8s.io",
            "RoleBinding",
            json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "Robot", "name": "x"}]}),
            r#"subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group""#,
        ),
        (
            "coordination.k8s.io",
            "Lease",
            json!({"spec": {"leaseDurationSeconds": 0}}),
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        ),
        (
            "autoscaling",
            "HorizontalPodAutoscaler",
            json!({"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}}),
            "spec.maxReplicas: Required value: must be set and greater than 0",
        ),
    ] {
        let found = created(group, kind, object.clone());
        assert_eq!(
            found.first().map(String::as_str),
            Some(says),
            "{kind} {object}: {found:?}"
        );
    }
    let frozen = |data: &str| json!({"immutable": true, "data": {"a": data}});
    assert_eq!(
        updated("", "ConfigMap", Part::Main, frozen("1"), frozen("2")),
        ["data: Forbidden: field is immutable when `immutable` is set"]
    );
    let typed = |kind: &str| json!({"type": kind});
    assert_eq!(
        updated("", "Secret", Part::Main, typed("a"), typed("b")),
        [r#"type: Invalid value: "b": field is immutable"#]
    );
    let binding = |role: &str| json!({"roleRef": {"kind": "Role", "name": role, "apiGroup": "rbac.authorization.k8s.io"}});
    assert_eq!(
        updated(
            "rbac.authorization.k8s.io",
            "RoleBinding",
            Part::Main,
            binding("a"),
            binding("b")
        ),
        [
            r#"roleRef: Invalid value: {"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"b"}: cannot change roleRef"#
        ]
    );
}

#[test]
fn claims_grow_when_bound() {
    let claim = |size: &str, phase: &str| {
        json!({
            "spec": {"accessModes": ["ReadWriteOnce"], "volumeName": "v", "resources": {"requests": {"storage": size}}},
            "status": {"phase": phase, "capacity": {"storage": "1Gi"}},
        })
    };
    let update = |old, new| updated("", "PersistentVolumeClaim", Part::Main, old, new);
    assert!(update(claim("1Gi", "Bound"), claim("2Gi", "Bound")).is_empty());
    let says = update(claim("1Gi", "Pending"), claim("2Gi", "Pending"));
    assert!(says[0].starts_with("spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n"), "{says:?}");
    assert_eq!(
        update(claim("2Gi", "Bound"), claim("1Gi", "Bound")),
        ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]
    );
}

#[test]
fn names_and_namespaces() {
    let kind = KindRef::new("", "v1", "ConfigMap");
    let errors = texts(validate_create(kind, &json!({"metadata": {"name": "A"}})));
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors
            .iter()
            .any(|error| error == "metadata.namespace: Required value"),
        "{errors:?}"
    );
}

#[test]
fn certificate_requests_are_decided_once() {
    let kind = "CertificateSigningRequest";
    let with = |conditions: Value| json!({"spec": {}, "status": {"conditions": conditions}});
    let approved = json!([{"type": "Approved", "status": "True"}]);
    let update = |part, old, new| updated("certificates.k8s.io", kind, part, with(old), with(new));
    assert!(update(Part::Approval, json!([]), approved.clone()).is_empty());
    assert_eq!(
        update(Part::Status, json!([]), approved.clone()),
        [r#"status.conditions: Forbidden: updates may not add a condition of type "Approved""#]
    );
    assert_eq!(
        update(Part::Approval, approved, json!([])),
        [r#"status.conditions: Forbidden: updates may not remove a condition of type "Approved""#]
    );
}

#[test]
fn every_row_is_a_served_kind() {
    for resource in resources() {
        let object =
            json!({"metadata": {"name": "a"}, "spec": [], "status": 1, "data": "x", "subsets": {}});
        let _ = validate_create(resource, &object);
        for part in [
            Part::Main,
            Part::Status,
            Part::Approval,
            Part::Resize,
            Part::EphemeralContainers,
        ] {
            let _ = validate_update(resource, &object, &json!({}), part);
        }
    }
}
