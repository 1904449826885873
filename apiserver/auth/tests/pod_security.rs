//! Pod security levels: each check with its message, versions, labels, and what admission does with them.

use mainstay_auth::UserInfo;
use mainstay_auth::pod_security::{
    Exemptions, Level, LevelVersion, PodSecurity, Policy, Version, evaluate,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn at(level: Level, version: Version) -> LevelVersion {
    LevelVersion { level, version }
}

/// A pod spec with one container `a` that keeps to the restricted level.
fn good() -> Value {
    json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "a", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        }}],
    })
}

/// The good spec with these parts put over it; a null takes a part away.
fn with(change: Value) -> Value {
    let mut spec = good();
    merge(&mut spec, &change);
    spec
}

fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    into.remove(key);
                } else {
                    merge(into.entry(key.clone()).or_insert(json!({})), value);
                }
            }
        }
        (Value::Array(into), Value::Array(change)) => {
            for (position, value) in change.iter().enumerate() {
                if position < into.len() {
                    merge(&mut into[position], value);
                } else {
                    into.push(value.clone());
                }
            }
        }
        (into, change) => *into = change.clone(),
    }
}

fn container(security: Value) -> Value {
    json!({"containers": [{"securityContext": security}]})
}

fn found(level: LevelVersion, metadata: &Value, spec: &Value) -> Vec<String> {
    evaluate(level, metadata, spec)
        .iter()
        .map(|violation| violation.describe())
        .collect()
}

const LATEST: Version = Version::Latest;

#[test]
fn baseline_checks_speak_as_upstream() {
    assert_eq!(
        found(
            at(Level::Baseline, LATEST),
            &json!({}),
            &json!({"containers": [{"name": "a"}]})
        ),
        [""; 0]
    );
    let second = json!({"name": "b", "securityContext": {"privileged": true}});
    for (change, expected) in [
        (
            container(json!({"appArmorProfile": {"type": "Unconfined"}})),
            r#"forbidden AppArmor profile (container "a" must not set AppArmor profile type to "Unconfined")"#,
        ),
        (
            json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}),
            r#"forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")"#,
        ),
        (
            container(json!({"capabilities": {"add": ["SYS_ADMIN", "CHOWN", "BPF"]}})),
            r#"non-default capabilities (container "a" must not include "BPF", "SYS_ADMIN" in securityContext.capabilities.add)"#,
        ),
        (
            json!({"hostNetwork": true, "hostPID": true, "hostIPC": false}),
            "host namespaces (hostNetwork=true, hostPID=true)",
        ),
        (
            json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "hostPath": {}}]}),
            r#"hostPath volumes (volumes "v", "w")"#,
        ),
        (
            json!({"containers": [{"ports": [{"hostPort": 80}, {"hostPort": 8080}, {"hostPort": 0}]}]}),
            r#"hostPort (container "a" uses hostPorts 80, 8080)"#,
        ),
        (
            json!({"containers": [{"livenessProbe": {"httpGet": {"host": "10.0.0.1"}}, "lifecycle": {"preStop": {"tcpSocket": {"host": "x"}}}}]}),
            r#"probe or lifecycle host (container "a" uses probe or lifecycle hosts "10.0.0.1", "x")"#,
        ),
        (
            json!({"containers": [{"securityContext": {"privileged": true}}, second]}),
            r#"privileged (containers "a", "b" must not set securityContext.privileged=true)"#,
        ),
        (
            container(json!({"procMount": "Unmasked"})),
            r#"procMount (container "a" must not set securityContext.procMount to "Unmasked")"#,
        ),
        (
            json!({"securityContext": {"seLinuxOptions": {"user": "u"}}, "containers": [{"securityContext": {"seLinuxOptions": {"type": "bad_t", "role": "r"}}}]}),
            r#"seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: type "bad_t"; user may not be set; role may not be set)"#,
        ),
        (
            container(json!({"seccompProfile": {"type": "Unconfined"}})),
            r#"seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")"#,
        ),
        (
            json!({"securityContext": {"sysctls": [{"name": "kernel.shm_rmid_forced"}, {"name": "kernel.x"}, {"name": "net.y"}]}}),
            "forbidden sysctls (kernel.x, net.y)",
        ),
        (
            container(json!({"windowsOptions": {"hostProcess": true}})),
            r#"hostProcess (container "a" must not set securityContext.windowsOptions.hostProcess=true)"#,
        ),
    ] {
        assert_eq!(
            found(
                at(Level::Baseline, LATEST),
                &json!({}),
                &with(change.clone())
            ),
            [expected]
        );
        assert_eq!(
            found(at(Level::Privileged, LATEST), &json!({}), &with(change)),
            [""; 0]
        );
    }
    let annotated =
        json!({"annotations": {"container.apparmor.security.beta.kubernetes.io/a": "unconfined"}});
    assert_eq!(
        found(at(Level::Baseline, LATEST), &annotated, &good()),
        [
            r#"forbidden AppArmor profile (annotation must not set AppArmor profile type to "container.apparmor.security.beta.kubernetes.io/a="unconfined"")"#
        ]
    );
}

#[test]
fn restricted_checks_speak_as_upstream() {
    assert_eq!(
        found(at(Level::Restricted, LATEST), &json!({}), &good()),
        [""; 0]
    );
    for (change, expected) in [
        (
            container(json!({"allowPrivilegeEscalation": null})),
            r#"allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false)"#,
        ),
        (
            container(
                json!({"capabilities": {"drop": ["CHOWN"], "add": ["KILL", "NET_BIND_SERVICE"]}}),
            ),
            r#"unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]; container "a" must not include "KILL" in securityContext.capabilities.add)"#,
        ),
        (
            json!({"volumes": [{"name": "v", "nfs": {}}, {"name": "w", "emptyDir": {}}]}),
            r#"restricted volume types (volume "v" uses restricted volume type "nfs")"#,
        ),
        (
            json!({"volumes": [{"name": "v", "hostPath": {}}]}),
            r#"restricted volume types (volume "v" uses restricted volume type "hostPath")"#,
        ),
        (
            json!({"securityContext": {"runAsNonRoot": null}}),
            r#"runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true)"#,
        ),
        (
            json!({"securityContext": {"runAsNonRoot": false}, "containers": [{"securityContext": {"runAsNonRoot": false}}]}),
            r#"runAsNonRoot != true (pod and container "a" must not set securityContext.runAsNonRoot=false)"#,
        ),
        (
            json!({"securityContext": {"runAsUser": 0}}),
            "runAsUser=0 (pod must not set runAsUser=0)",
        ),
        (
            json!({"securityContext": {"seccompProfile": null}}),
            r#"seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")"#,
        ),
        (
            json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
            r#"seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")"#,
        ),
        (
            container(json!({"procMount": "Unmasked"})),
            r#"procMount (container "a" must not set securityContext.procMount to "Unmasked")"#,
        ),
    ] {
        assert_eq!(
            found(at(Level::Restricted, LATEST), &json!({}), &with(change)),
            [expected]
        );
    }
    let plain = json!({"containers": [{"name": "nginx"}]});
    assert_eq!(
        found(at(Level::Restricted, LATEST), &json!({}), &plain).join(", "),
        r#"allowPrivilegeEscalation != false (container "nginx" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "nginx" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "nginx" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "nginx" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")"#
    );
}

#[test]
fn versions_decide_which_rules_count() {
    let sysctl = |name: &str| with(json!({"securityContext": {"sysctls": [{"name": name}]}}));
    let own_users = |change: Value| {
        let mut spec = with(change);
        spec["hostUsers"] = json!(false);
        spec
    };
    let windows = json!({"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": true}, "containers": [{"name": "a"}]});
    let unmasked = || container(json!({"procMount": "Unmasked"}));
    let probe = json!({"containers": [{"startupProbe": {"tcpSocket": {"host": "x"}}}]});
    let (baseline, restricted) = (Level::Baseline, Level::Restricted);
    // spec, level, a version that refuses, a version that allows
    for (spec, level, refuses, allows) in [
        (sysctl("net.ipv4.ip_local_reserved_ports"), baseline, 26, 27),
        (sysctl("net.ipv4.tcp_fin_timeout"), baseline, 28, 29),
        (sysctl("net.ipv4.tcp_rmem"), baseline, 31, 32),
        (
            with(json!({"securityContext": {"seLinuxOptions": {"type": "container_engine_t"}}})),
            baseline,
            30,
            31,
        ),
        (with(probe), baseline, 34, 33),
        (own_users(unmasked()), baseline, 34, 35),
        (
            own_users(json!({"securityContext": {"runAsNonRoot": null}})),
            restricted,
            34,
            35,
        ),
        (
            own_users(json!({"securityContext": {"runAsUser": 0}})),
            restricted,
            34,
            35,
        ),
        (
            with(json!({"securityContext": {"runAsUser": 0}})),
            restricted,
            23,
            22,
        ),
        (
            with(json!({"securityContext": {"seccompProfile": null}})),
            restricted,
            19,
            18,
        ),
        (
            with(container(json!({"capabilities": null}))),
            restricted,
            22,
            21,
        ),
        (
            with(container(json!({"allowPrivilegeEscalation": true}))),
            restricted,
            8,
            7,
        ),
        (windows, restricted, 24, 25),
    ] {
        let count = |minor| evaluate(at(level, Version::Minor(minor)), &json!({}), &spec).len();
        assert!(count(refuses) > 0, "{spec} at {refuses}");
        assert_eq!(count(allows), 0, "{spec} at {allows}");
    }
    // What baseline relaxes for pods with their own users stays refused above it.
    assert_eq!(
        evaluate(at(restricted, LATEST), &json!({}), &own_users(unmasked())).len(),
        1
    );
    let future = sysctl("net.ipv4.tcp_slow_start_after_idle");
    assert_eq!(
        evaluate(at(baseline, Version::Minor(99)), &json!({}), &future).len(),
        1,
        "as the newest known"
    );
}

fn label(name: &str) -> String {
    format!("pod-security.kubernetes.io/{name}")
}

fn namespace(labels: &[(&str, &str)]) -> Value {
    let labels: serde_json::Map<String, Value> = labels
        .iter()
        .map(|(name, value)| (label(name), json!(value)))
        .collect();
    json!({"metadata": {"name": "ns", "labels": labels}})
}

#[test]
fn labels_become_a_policy() {
    let policy = |labels: &[(&str, &str)]| {
        let (policy, errors) =
            Policy::from_labels(&namespace(labels)["metadata"]["labels"], Policy::default());
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        (
            format!("{} {} {}", policy.enforce, policy.audit, policy.warn),
            errors.join("; "),
        )
    };
    for (labels, expected) in [
        (
            vec![],
            "privileged:latest privileged:latest privileged:latest",
        ),
        (
            vec![("enforce", "baseline")],
            "baseline:latest privileged:latest baseline:latest",
        ),
        (
            vec![("enforce", "baseline"), ("enforce-version", "v1.25")],
            "baseline:v1.25 privileged:latest baseline:v1.25",
        ),
        (
            vec![("enforce", "restricted"), ("warn", "baseline")],
            "restricted:latest privileged:latest baseline:latest",
        ),
        (
            vec![("warn", "restricted"), ("warn-version", "v1.0")],
            "privileged:latest privileged:latest restricted:v1.0",
        ),
    ] {
        assert_eq!(
            policy(&labels),
            (expected.to_owned(), String::new()),
            "{labels:?}"
        );
    }
    let (wrong, errors) = policy(&[
        ("enforce", "strict"),
        ("audit", "x"),
        ("warn-version", "v1.01"),
    ]);
    assert_eq!(
        wrong, "restricted:latest privileged:latest privileged:latest",
        "refuses more, notes less"
    );
    assert_eq!(
        errors,
        r#"metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": must be one of privileged, baseline, restricted; metadata.labels[pod-security.kubernetes.io/audit]: Invalid value: "x": must be one of privileged, baseline, restricted; metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "v1.01": must be "latest" or "v1.x""#
    );
}

#[test]
fn pods_are_refused_templates_warned_about() {
    let security = PodSecurity::default();
    let user = UserInfo::new("u", &[]);
    let strict = namespace(&[("enforce", "baseline"), ("audit", "baseline")]);
    let bad = json!({"metadata": {"name": "p"}, "spec": {"hostPID": true, "containers": [{"name": "a", "image": "i"}]}});
    let text = r#"PodSecurity "baseline:latest": host namespaces (hostPID=true)"#;
    let answer = security.pod(&user, &strict, "", &bad, None);
    assert_eq!(answer.denied, Some(format!("violates {text}")));
    assert_eq!(answer.warnings, [""; 0]);
    assert_eq!(answer.audit[&label("enforce-policy")], "baseline:latest");
    assert_eq!(
        answer.audit[&label("audit-violations")],
        format!("would violate {text}")
    );
    for kind in ["Deployment", "Job", "CronJob", "PodTemplate"] {
        let object = match kind {
            "CronJob" => {
                json!({"kind": kind, "spec": {"jobTemplate": {"spec": {"template": bad}}}})
            }
            "PodTemplate" => json!({"kind": kind, "template": bad}),
            _ => json!({"kind": kind, "spec": {"template": bad}}),
        };
        let answer = security.template(&user, &strict, "", &object);
        assert_eq!(
            (answer.denied, answer.warnings),
            (None, vec![format!("would violate {text}")]),
            "{kind}"
        );
    }
    let warned = security.pod(&user, &namespace(&[("warn", "baseline")]), "", &bad, None);
    assert_eq!(
        (warned.denied, warned.warnings),
        (None, vec![format!("would violate {text}")])
    );
    assert_eq!(
        security.pod(&user, &strict, "exec", &bad, None).denied,
        None
    );
    assert_eq!(
        security.pod(&user, &strict, "", &bad, Some(&bad)).denied,
        None,
        "no container changed"
    );
    let mut image = bad.clone();
    image["spec"]["containers"][0]["image"] = json!("other");
    assert!(
        security
            .pod(&user, &strict, "", &image, Some(&bad))
            .denied
            .is_some()
    );
    let mut debug = bad.clone();
    debug["spec"]["ephemeralContainers"] = json!([{"name": "d", "image": "i"}]);
    assert!(
        security
            .pod(&user, &strict, "ephemeralcontainers", &debug, Some(&bad))
            .denied
            .is_some()
    );
}

#[test]
fn exemptions_are_noted() {
    let names = |name: &str| vec![name.to_owned()];
    let security = PodSecurity {
        exemptions: Exemptions {
            usernames: names("root"),
            namespaces: names("kube-system"),
            runtime_classes: names("vm"),
        },
        ..PodSecurity::default()
    };
    let mut strict = namespace(&[("enforce", "baseline")]);
    let mut bad = json!({"metadata": {}, "spec": {"hostPID": true, "containers": []}});
    let exempt = |user: &str, namespace: &Value, pod: &Value| {
        let answer = security.pod(&UserInfo::new(user, &[]), namespace, "", pod, None);
        answer
            .denied
            .is_none()
            .then(|| answer.audit[&label("exempt")].clone())
    };
    assert_eq!(exempt("u", &strict, &bad), None);
    assert_eq!(exempt("root", &strict, &bad).as_deref(), Some("user"));
    bad["spec"]["runtimeClassName"] = json!("vm");
    assert_eq!(exempt("u", &strict, &bad).as_deref(), Some("runtimeClass"));
    strict["metadata"]["name"] = json!("kube-system");
    assert_eq!(exempt("u", &strict, &bad).as_deref(), Some("namespace"));
    assert_eq!(
        security.namespace(&strict, None, Vec::new),
        Ok(vec![r#"namespace "kube-system" is exempt from Pod Security, and the policy (enforce=baseline:latest) will be ignored"#.into()])
    );
}

#[test]
fn a_stricter_namespace_warns_about_its_pods() {
    let security = PodSecurity::default();
    let pod = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let pods = || {
        vec![
            pod("c", json!({"hostPID": true})),
            pod("a", json!({"hostIPC": true})),
            pod("b", json!({"hostNetwork": true})),
            pod(
                "p",
                json!({"containers": [{"name": "x", "securityContext": {"privileged": true}}]}),
            ),
            pod("good", json!({})),
        ]
    };
    let (open, strict) = (namespace(&[]), namespace(&[("enforce", "baseline")]));
    assert_eq!(
        security
            .namespace(&strict, Some(&open), pods)
            .expect("valid labels"),
        [
            r#"existing pods in namespace "ns" violate the new PodSecurity enforce level "baseline:latest""#,
            "a (and 2 other pods): host namespaces",
            "p: privileged",
        ]
    );
    assert_eq!(
        security.namespace(&open, Some(&strict), pods),
        Ok(vec![]),
        "less strict"
    );
    assert_eq!(
        security.namespace(&strict, Some(&strict), pods),
        Ok(vec![]),
        "the same"
    );
    let wrong = namespace(&[("enforce", "strict")]);
    assert_eq!(
        security
            .namespace(&wrong, None, Vec::new)
            .expect_err("refused")
            .len(),
        1
    );
    assert!(security.namespace(&wrong, Some(&open), Vec::new).is_err());
    assert!(
        security.namespace(&wrong, Some(&wrong), Vec::new).is_ok(),
        "wrong before: may stay"
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from)
    ];
    let keys = prop::sample::select(vec![
        "containers",
        "securityContext",
        "capabilities",
        "add",
        "drop",
        "volumes",
        "hostPath",
        "name",
        "ports",
        "hostPort",
        "sysctls",
        "seccompProfile",
        "type",
        "annotations",
        "procMount",
        "runAsUser",
        "lifecycle",
    ]);
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn specs_of_any_shape_never_panic(metadata in any_json(), spec in any_json(), minor in 0_u32..40) {
        for level in [Level::Baseline, Level::Restricted] {
            let _ = evaluate(at(level, Version::Minor(minor)), &metadata, &spec);
        }
        let restricted = evaluate(at(Level::Restricted, LATEST), &metadata, &spec).is_empty();
        let baseline = evaluate(at(Level::Baseline, LATEST), &metadata, &spec).is_empty();
        prop_assert!(!restricted || baseline, "what restricted allows, baseline allows");
    }
}
