use super::*;
use crate::limits::Change;
use mainstay_schema::{Resource, resource};
use serde_json::{Value, json};

fn core(plural: &str) -> &'static Resource {
    resource("", "v1", plural).expect("a resource")
}

/// A limit range with one item, whose type is a key beside its bounds.
fn range(item: Value) -> Value {
    json!({"metadata": {"name": "r"}, "spec": {"limits": [item]}})
}

fn container(requests: Value, limits: Value) -> Value {
    json!({"name": "c", "resources": {"requests": requests, "limits": limits}})
}

fn pod(containers: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": containers}})
}

#[test]
fn containers_get_the_defaults_they_lack() {
    let ranges = [range(json!({
        "type": "Container",
        "default": {"cpu": "1", "memory": "1Gi"},
        "defaultRequest": {"cpu": "500m", "memory": "512Mi"},
    }))];
    let mut pod = json!({"metadata": {"name": "p"}, "spec": {
        "containers": [
            {"name": "none"},
            {"name": "some", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}},
            {"name": "all", "resources": {
                "requests": {"cpu": "2", "memory": "1"}, "limits": {"cpu": "2", "memory": "1"}}},
        ],
        "initContainers": [{"name": "first"}],
    }});
    set_defaults(&mut pod, &ranges);
    let complete = json!({
        "requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}});
    assert_eq!(pod["spec"]["containers"][0]["resources"], complete);
    assert_eq!(
        pod["spec"]["containers"][1]["resources"],
        json!({"requests": {"cpu": "2", "memory": "512Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}})
    );
    assert_eq!(pod["spec"]["initContainers"][0]["resources"], complete);
    assert_eq!(
        pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu, memory request for container none; \
         cpu, memory limit for container none; memory request for container some; \
         memory limit for container some; cpu, memory request for init container first; \
         cpu, memory limit for init container first"
    );
}

#[test]
fn of_two_defaults_the_first_wins_and_nothing_set_is_not_noted() {
    let ranges = [
        range(json!({"type": "Container", "default": {"cpu": "1"}})),
        range(json!({"type": "Container", "default": {"cpu": "2"}})),
        range(json!({"type": "Pod", "default": {"cpu": "3"}})),
    ];
    let mut defaulted = pod(json!([{"name": "c"}]));
    set_defaults(&mut defaulted, &ranges);
    assert_eq!(
        defaulted["spec"]["containers"][0]["resources"],
        json!({"limits": {"cpu": "1"}})
    );
    assert_eq!(
        defaulted["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu limit for container c"
    );

    let untouched = pod(json!([container(json!({}), json!({"cpu": "1"}))]));
    let mut same = untouched.clone();
    set_defaults(&mut same, &ranges);
    assert_eq!(same, untouched);
}

#[test]
fn each_bound_has_its_text() {
    let cpu = |amount: &str| json!({"cpu": amount});
    for (item, requests, limits, text) in [
        (json!({"min": cpu("50m")}), cpu("50m"), cpu("100m"), ""),
        (
            json!({"min": cpu("50m")}),
            json!({}),
            json!({}),
            "minimum cpu usage per Container is 50m.  No request is specified",
        ),
        (
            json!({"min": cpu("50m")}),
            cpu("40m"),
            json!({}),
            "minimum cpu usage per Container is 50m, but request is 40m",
        ),
        (
            json!({"min": cpu("50m")}),
            cpu("60m"),
            cpu("40m"),
            "minimum cpu usage per Container is 50m, but limit is 40m",
        ),
        (json!({"max": cpu("1")}), json!({}), cpu("1000m"), ""),
        (
            json!({"max": cpu("1")}),
            cpu("1"),
            json!({}),
            "maximum cpu usage per Container is 1.  No limit is specified",
        ),
        (
            json!({"max": cpu("1")}),
            cpu("2"),
            cpu("2"),
            "maximum cpu usage per Container is 1, but limit is 2",
        ),
        (
            json!({"max": cpu("1")}),
            cpu("2"),
            cpu("1"),
            "maximum cpu usage per Container is 1, but request is 2",
        ),
        (
            json!({"maxLimitRequestRatio": cpu("2")}),
            cpu("1"),
            cpu("2"),
            "",
        ),
        (
            json!({"maxLimitRequestRatio": cpu("1500m")}),
            cpu("1"),
            cpu("2"),
            "cpu max limit to request ratio per Container is 1500m, but provided ratio is 2.000000",
        ),
        (
            json!({"maxLimitRequestRatio": cpu("2")}),
            cpu("300m"),
            cpu("1"),
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.333333",
        ),
        (
            json!({"maxLimitRequestRatio": cpu("2")}),
            json!({}),
            cpu("1"),
            "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
        ),
        (
            json!({"maxLimitRequestRatio": cpu("2")}),
            cpu("1"),
            json!({}),
            "cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0",
        ),
        (
            json!({"max": {"memory": "8Ei"}}),
            json!({}),
            json!({"memory": "7Ei"}),
            "",
        ),
        (
            json!({"max": {"memory": "6Ei"}}),
            json!({}),
            json!({"memory": "7Ei"}),
            "maximum memory usage per Container is 6Ei, but limit is 7Ei",
        ),
        (
            json!({"min": cpu("1"), "max": cpu("2")}),
            json!({}),
            cpu("3"),
            "[minimum cpu usage per Container is 1.  No request is specified, \
             maximum cpu usage per Container is 2, but limit is 3]",
        ),
    ] {
        let mut item = item;
        item["type"] = "Container".into();
        for place in ["containers", "initContainers"] {
            let mut pod = pod(json!([container(json!({"cpu": "1"}), json!({"cpu": "1"}))]));
            pod["spec"]["containers"] = json!([]);
            pod["spec"][place] = json!([container(requests.clone(), limits.clone())]);
            let verdict = check(core("pods"), &pod, [&range(item.clone())]);
            assert_eq!(verdict.err().unwrap_or_default(), text, "{item} {place}");
        }
    }
}

#[test]
fn a_pod_is_bound_as_a_whole() {
    let one = container(json!({"memory": "1Gi"}), json!({"memory": "1Gi"}));
    let mut two = pod(json!([one, one]));
    let bound = range(json!({"type": "Pod", "max": {"memory": "1536Mi"}}));
    let exceeded = Err("maximum memory usage per Pod is 1536Mi, but limit is 2Gi".to_owned());
    assert_eq!(check(core("pods"), &two, [&bound]), exceeded);
    // What the pod sets as a whole stands for the sum of its containers.
    two["spec"]["resources"] = json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}});
    assert_eq!(check(core("pods"), &two, [&bound]), Ok(()));
}

#[test]
fn equal_messages_are_said_once_and_only_those_of_the_first_broken_range() {
    let small = container(json!({"cpu": "1m"}), json!({}));
    let pod = pod(json!([small, small]));
    let one = range(json!({"type": "Container", "min": {"cpu": "2m"}}));
    let two = range(json!({"type": "Container", "min": {"cpu": "3m"}}));
    let said = "minimum cpu usage per Container is 2m, but request is 1m".to_owned();
    assert_eq!(check(core("pods"), &pod, [&one, &two]), Err(said));
}

#[test]
fn claims_are_bound_by_their_requests() {
    let bound = range(json!({
        "type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "10Gi"}}));
    for (storage, text) in [
        (json!({"storage": "1Gi"}), ""),
        (
            json!({"storage": "1Mi"}),
            "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi",
        ),
        (
            json!({"storage": "11Gi"}),
            "maximum storage usage per PersistentVolumeClaim is 10Gi, but request is 11Gi",
        ),
        (
            json!({}),
            "[minimum storage usage per PersistentVolumeClaim is 1Gi.  No request is specified, \
             maximum storage usage per PersistentVolumeClaim is 10Gi.  No request is specified]",
        ),
    ] {
        let claim = json!({"spec": {"resources": {"requests": storage}}});
        let verdict = check(core("persistentvolumeclaims"), &claim, [&bound]);
        assert_eq!(verdict.err().unwrap_or_default(), text, "{storage}");
    }
    assert_eq!(check(core("configmaps"), &json!({}), [&bound]), Ok(()));
}

#[test]
fn ranges_apply_to_new_pods_resizes_and_claims() {
    let living = json!({"metadata": {"name": "x"}});
    let dying = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    for (plural, subresource, old, expected) in [
        ("pods", "", None, true),
        ("pods", "", Some(&living), false),
        ("pods", "status", Some(&living), false),
        ("pods", "resize", Some(&living), true),
        ("pods", "resize", Some(&dying), false),
        ("pods", "binding", None, false),
        ("persistentvolumeclaims", "", None, true),
        ("persistentvolumeclaims", "", Some(&living), true),
        ("persistentvolumeclaims", "", Some(&dying), false),
        ("persistentvolumeclaims", "status", Some(&living), false),
        ("configmaps", "", None, false),
    ] {
        let resource = core(plural);
        let change = Change {
            resource,
            subresource,
            new: &living,
            old,
        };
        assert_eq!(applies(&change), expected, "{plural}/{subresource} {old:?}");
    }
}
