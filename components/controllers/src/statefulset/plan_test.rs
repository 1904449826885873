use super::*;
use serde_json::{Value, json};

/// Pods as words: `0` is ready, `1p` pending, `2r` running but not ready, `3f` failed, `4d` ready and being deleted; a
/// capital letter behind it is its revision, which is otherwise the one of before: A.
fn pod(word: &str) -> Arc<Pod> {
    let digits = word.trim_end_matches(char::is_alphabetic);
    let letters = &word[digits.len()..];
    let has = |letter: char| letters.contains(letter);
    let phase = match () {
        () if has('p') => "Pending",
        () if has('f') => "Failed",
        () => "Running",
    };
    let ready = if has('p') || has('r') || has('f') {
        "False"
    } else {
        "True"
    };
    let revision = letters
        .chars()
        .find(char::is_ascii_uppercase)
        .unwrap_or('A');
    let mut pod = json!({
        "metadata": {"name": format!("db-{digits}"), "labels": {"controller-revision-hash": revision.to_string()}},
        "status": {"phase": phase, "conditions": [
            {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
    });
    if has('d') {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    Arc::new(serde_json::from_value(pod).expect("a pod"))
}

fn set(replicas: i32, more: &Value) -> StatefulSet {
    let mut spec = json!({"replicas": replicas, "selector": {}, "template": {}, "serviceName": "",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}});
    for (name, value) in more.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    let set = json!({"metadata": {"name": "db"}, "spec": spec});
    serde_json::from_value(set).expect("a stateful set")
}

/// Steps as words: `+2` creates, `-2` deletes, `claims 2` provides; repairs are left out.
fn words(set: &StatefulSet, pods: &str, update: &str) -> String {
    let pods: Vec<_> = pods.split_whitespace().map(pod).collect();
    let seen = Seen {
        set,
        pods: &pods,
        update_revision: update,
        now: "2026-01-01T00:01:00Z".parse().expect("a time"),
    };
    let number = |pod: &Pod| ordinal(pod).expect("it has one");
    let word = |step: &Step| match step {
        Step::Create(ordinal) => Some(format!("+{ordinal}")),
        Step::Delete(pod) => Some(format!("-{}", number(pod))),
        Step::Provide(pod) => Some(format!("claims {}", number(pod))),
        Step::Repair(_) => None,
    };
    let words: Vec<_> = seen
        .plan()
        .phases
        .iter()
        .flatten()
        .filter_map(word)
        .collect();
    words.join(" ")
}

fn parallel() -> Value {
    json!({"podManagementPolicy": "Parallel"})
}

fn start_at(start: i32) -> Value {
    json!({"ordinals": {"start": start}})
}

#[test]
fn ordered_pods_come_and_go_one_by_one() {
    let none = json!({});
    let slow = json!({"minReadySeconds": 120});
    for (what, replicas, more, pods, expected) in [
        ("the first", 3, &none, "", "+0"),
        ("it is not there yet", 3, &none, "0p", "claims 0"),
        ("it is not ready yet", 3, &none, "0r", ""),
        ("the next", 3, &none, "0", "+1"),
        ("a hole is filled before more come", 4, &none, "0 2", "+1"),
        ("it is not available yet", 3, &slow, "0", ""),
        ("one that failed goes and comes", 3, &none, "0 1f 2", "-1"),
        ("one that failed is on its way", 3, &none, "0 1fd 2", ""),
        ("one goes", 3, &none, "0 1d 2", ""),
        ("too many", 1, &none, "0 1 2", "-2"),
        ("too many, one on its way", 1, &none, "0 1 2d", ""),
        (
            "too many, and the first one is down",
            1,
            &none,
            "0r 1 2",
            "",
        ),
        (
            "too many, and one of them is down",
            1,
            &none,
            "0 1r 2",
            "-2",
        ),
        (
            "too many, and another one than the last is down first",
            1,
            &none,
            "0 1r 2r",
            "",
        ),
        ("too many, and the last is down", 1, &none, "0 1 2r", "-2"),
        ("none", 0, &none, "0 1", "-1"),
        ("other ordinals", 2, &start_at(5), "5", "+6"),
        ("moved ordinals", 2, &start_at(1), "0 1 2", "-0"),
    ] {
        assert_eq!(words(&set(replicas, more), pods, "A"), expected, "{what}");
    }
}

#[test]
fn parallel_pods_wait_for_nobody() {
    for (what, replicas, pods, expected) in [
        ("all at once", 3, "", "+0 +1 +2"),
        ("whatever others do", 4, "0p 1d 2f", "claims 0 -2 +3"),
        ("all that are too many", 1, "0r 1r 2 3d", "-2 -1"),
    ] {
        assert_eq!(
            words(&set(replicas, &parallel()), pods, "A"),
            expected,
            "{what}"
        );
    }
}

#[test]
fn updates_go_from_the_last_to_the_partition() {
    let rolling = |partition: i32, most: Value, policy: &str| {
        json!({"podManagementPolicy": policy, "updateStrategy": {"type": "RollingUpdate",
            "rollingUpdate": {"partition": partition, "maxUnavailable": most}}})
    };
    let ordered = |partition| rolling(partition, Value::Null, "OrderedReady");
    let on_delete = json!({"updateStrategy": {"type": "OnDelete"}});
    for (what, more, pods, expected) in [
        ("the last", ordered(0), "0 1 2", "-2"),
        ("the one before", ordered(0), "0 1 2B", "-1"),
        ("not before the last is ready", ordered(0), "0 1 2rB", ""),
        (
            "one that is down is not waited for",
            ordered(0),
            "0B 1B 2B",
            "",
        ),
        ("down to the partition", ordered(2), "0 1 2", "-2"),
        ("not below the partition", ordered(2), "0 1 2B", ""),
        ("beyond all", ordered(9), "0 1 2", ""),
        ("only when somebody else deletes", on_delete, "0 1 2", ""),
        (
            "two at once",
            rolling(0, json!(2), "Parallel"),
            "0 1 2",
            "-2 -1",
        ),
        (
            "one is down already",
            rolling(0, json!(2), "Parallel"),
            "0r 1 2",
            "-2",
        ),
        (
            "a small part is one",
            rolling(0, json!("10%"), "Parallel"),
            "0 1 2",
            "-2",
        ),
        (
            "an old one that is down goes in its turn",
            rolling(0, Value::Null, "Parallel"),
            "0 1 2r",
            "-2",
        ),
    ] {
        assert_eq!(words(&set(3, &more), pods, "B"), expected, "{what}");
    }
}

#[test]
fn a_set_that_is_being_deleted_does_nothing() {
    let mut set = set(3, &json!({}));
    set.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).ok();
    assert_eq!(words(&set, "0", "A"), "");
}

#[test]
fn new_pods_below_the_partition_are_of_the_revision_before() {
    for (strategy, ordinal, expected) in [
        (
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}),
            1,
            true,
        ),
        (
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}),
            2,
            false,
        ),
        (
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
            0,
            false,
        ),
        (json!({"type": "OnDelete"}), 0, false),
    ] {
        let set = set(3, &json!({"updateStrategy": strategy}));
        assert_eq!(is_current(&set, ordinal), expected, "{strategy} {ordinal}");
    }
}
