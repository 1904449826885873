//! What rules nodes out, and what is said about it.

use serde_json::{Value, json};

use super::support::{asks, decide, labelled, merge, node, placed, pod, snapshot, zoned};

const USELESS: &str = "Preemption is not helpful for scheduling";
const NO_VICTIMS: &str = "No preemption victims found for incoming pod";

/// The pod does not fit the one node there is, for this reason.
fn refused(node: Value, pod_more: Value, reason: &str, tail: &str) {
    let mut all = snapshot(&[node], &[]);
    let said = decide(&mut all, &pod("p", pod_more.clone()));
    let expected = format!(
        "0/1 nodes are available: 1 {reason}. preemption: 0/1 nodes are available: 1 {tail}."
    );
    assert_eq!(said, Err(expected), "{pod_more}");
}

fn fits(node: Value, pod_more: Value) {
    let mut all = snapshot(&[node], &[]);
    let said = decide(&mut all, &pod("p", pod_more.clone()));
    assert!(said.is_ok(), "{pod_more}: {said:?}");
}

#[test]
fn no_nodes_at_all() {
    let said = decide(&mut snapshot(&[], &[]), &pod("p", json!({})));
    assert_eq!(said, Err("no nodes available to schedule pods".to_owned()));
}

#[test]
fn cordoned_nodes_take_only_pods_that_tolerate_it() {
    let cordoned = || node("n", json!({"spec": {"unschedulable": true}}));
    refused(cordoned(), json!({}), "node(s) were unschedulable", USELESS);
    let key = "node.kubernetes.io/unschedulable";
    for toleration in [
        json!({"key": key, "operator": "Exists"}),
        json!({"operator": "Exists"}),
        json!({"key": key, "operator": "Exists", "effect": "NoSchedule"}),
    ] {
        fits(cordoned(), json!({"spec": {"tolerations": [toleration]}}));
    }
}

#[test]
fn taints_keep_pods_away_that_do_not_tolerate_them() {
    let tainted = |effect: &str| {
        node(
            "n",
            json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": effect}]}}),
        )
    };
    let reason = "node(s) had untolerated taint(s)";
    for (effect, toleration, tolerated) in [
        (
            "NoSchedule",
            json!({"key": "other", "operator": "Exists"}),
            false,
        ),
        ("NoSchedule", json!({"key": "k", "value": "v"}), true),
        (
            "NoSchedule",
            json!({"key": "k", "operator": "Equal", "value": "w"}),
            false,
        ),
        (
            "NoSchedule",
            json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}),
            false,
        ),
        (
            "NoExecute",
            json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}),
            true,
        ),
        (
            "NoExecute",
            json!({"key": "k", "operator": "Exists", "tolerationSeconds": 0}),
            true,
        ),
        (
            "PreferNoSchedule",
            json!({"key": "other", "operator": "Exists"}),
            true,
        ),
    ] {
        let more = json!({"spec": {"tolerations": [toleration]}});
        if tolerated {
            fits(tainted(effect), more);
        } else {
            refused(tainted(effect), more, reason, USELESS);
        }
    }
}

#[test]
fn node_selectors_and_affinity_must_both_hold() {
    let reason = "node(s) didn't match Pod's node affinity/selector";
    let required = |terms: Value| {
        json!({"spec": {"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}})
    };
    let zone = |zone: &str| {
        json!({"matchExpressions": [
        {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}]})
    };
    fits(
        zoned("n", "a"),
        json!({"spec": {"nodeSelector": {"kubernetes.io/hostname": "n"}}}),
    );
    fits(zoned("n", "a"), required(json!([zone("b"), zone("a")])));
    let mut both = required(json!([zone("a")]));
    merge(
        &mut both,
        &json!({"spec": {"nodeSelector": {"disk": "ssd"}}}),
    );
    for more in [
        json!({"spec": {"nodeSelector": {"disk": "ssd"}}}),
        required(json!([zone("b")])),
        required(json!([{}])),
        both,
    ] {
        refused(zoned("n", "a"), more, reason, USELESS);
    }
}

#[test]
fn pods_that_name_their_nodes_are_told_about_all_others_at_once() {
    let named = |operator: &str, names: &[&str]| {
        json!({"matchFields": [
        {"key": "metadata.name", "operator": operator, "values": names}]})
    };
    let required = |terms: Value| {
        json!({"spec": {"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}})
    };
    let nodes = [
        node("a", json!({})),
        node("b", json!({"spec": {"unschedulable": true}})),
        node("c", json!({})),
    ];
    let mut all = snapshot(&nodes, &[]);
    let c = pod("p", required(json!([named("In", &["c"])])));
    assert_eq!(decide(&mut all, &c), Ok("c".to_owned()));
    let b = pod("p", required(json!([named("In", &["b"])])));
    assert_eq!(
        decide(&mut all, &b),
        Err("0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. \
             preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
            .to_owned())
    );
    let mut two = named("In", &["a"]);
    two["matchFields"] = json!([two["matchFields"][0], named("In", &["c"])["matchFields"][0]]);
    assert_eq!(
        decide(&mut all, &pod("p", required(json!([two])))),
        Err("0/3 nodes are available: pod affinity terms conflict. \
             preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
            .to_owned())
    );
}

#[test]
fn ports_of_nodes_are_had_once() {
    let port = |ip: &str, protocol: &str, port: u16| {
        json!({"spec": {"containers": [{"name": "c", "image": "app:1",
        "ports": [{"containerPort": 1, "hostIP": ip, "protocol": protocol, "hostPort": port}]}]}})
    };
    for (there, wanted, free) in [
        (port("", "TCP", 80), port("", "TCP", 80), false),
        (port("", "TCP", 80), port("", "TCP", 81), true),
        (port("", "TCP", 80), port("", "UDP", 80), true),
        (
            port("10.0.0.1", "TCP", 80),
            port("10.0.0.2", "TCP", 80),
            true,
        ),
        (
            port("10.0.0.1", "TCP", 80),
            port("0.0.0.0", "TCP", 80),
            false,
        ),
        (
            port("0.0.0.0", "TCP", 80),
            port("10.0.0.1", "TCP", 80),
            false,
        ),
    ] {
        let taken = placed("q", "n", there.clone());
        let mut all = snapshot(&[node("n", json!({}))], &[taken]);
        let said = decide(&mut all, &pod("p", wanted.clone()));
        assert_eq!(said.is_ok(), free, "{there} {wanted}");
        if let Err(said) = said {
            assert!(
                said.contains("1 node(s) didn't have free ports for the requested pod ports."),
                "{said}"
            );
            assert!(said.contains(NO_VICTIMS), "{said}");
        }
        all.remove_pod("q");
        assert!(decide(&mut all, &pod("p", wanted)).is_ok());
    }
}

#[test]
fn all_resources_that_are_missing_are_told() {
    let small = || {
        node(
            "n",
            json!({"status": {"allocatable": {"cpu": "1", "memory": "1Gi", "example.com/gpu": "1"}}}),
        )
    };
    fits(small(), asks("1", "1Gi"));
    refused(small(), asks("1001m", "1Gi"), "Insufficient cpu", USELESS);
    let mut both = asks("2", "2Gi");
    both["spec"]["containers"][0]["resources"]["requests"]["example.com/gpu"] = json!("2");
    let mut all = snapshot(&[small()], &[]);
    assert_eq!(
        decide(&mut all, &pod("p", both)),
        Err("0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient example.com/gpu, 1 Insufficient memory. \
             preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
            .to_owned())
    );
    // What others have is missing, too, and they are as important.
    let mut all = snapshot(&[small()], &[placed("q", "n", asks("600m", "1"))]);
    let said = decide(&mut all, &pod("p", asks("600m", "1"))).expect_err("it does not fit");
    assert!(
        said.contains("1 Insufficient cpu.") && said.contains(NO_VICTIMS),
        "{said}"
    );
    refused(
        node("n", json!({"status": {"allocatable": {"pods": "0"}}})),
        json!({}),
        "Too many pods",
        USELESS,
    );
}

#[test]
fn reasons_are_counted_and_ordered_and_tell_what_preemption_could_do() {
    let taint = json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}});
    let nodes = [
        node("a", taint.clone()),
        node("b", taint),
        node("c", json!({})),
    ];
    let full = placed("q", "c", asks("4", "1"));
    let mut all = snapshot(&nodes, &[full]);
    assert_eq!(
        decide(&mut all, &pod("p", asks("1", "1"))),
        Err(
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). \
             preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, \
             2 Preemption is not helpful for scheduling."
                .to_owned()
        )
    );
    let mut never = asks("1", "1");
    merge(
        &mut never,
        &json!({"spec": {"preemptionPolicy": "Never", "priority": 5}}),
    );
    let said = decide(&mut all, &pod("p", never)).expect_err("it does not fit");
    assert!(
        said.ends_with(". preemption: not eligible due to preemptionPolicy=Never."),
        "{said}"
    );
}

#[test]
fn pods_are_spread_evenly_where_they_must_be() {
    let reason = "node(s) didn't match pod topology spread constraints";
    let nodes = || {
        [
            zoned("a1", "a"),
            zoned("a2", "a"),
            zoned("b1", "b"),
            node("x", json!({})),
        ]
    };
    let web = |name: &str, on: &str| placed(name, on, labelled("app", "web"));
    let constraint = |more: Value| {
        let mut one = json!({"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}}});
        merge(&mut one, &more);
        let mut pod = labelled("app", "web");
        merge(
            &mut pod,
            &json!({"spec": {"topologySpreadConstraints": [one]}}),
        );
        pod
    };
    // Zone a has one more than b: only b takes the next.
    let mut all = snapshot(&nodes(), &[web("w1", "a1")]);
    assert_eq!(
        decide(&mut all, &pod("p", constraint(json!({})))),
        Ok("b1".to_owned())
    );
    // A third domain is asked for, and there are two: as if it were there and empty.
    let mut all = snapshot(&nodes(), &[web("w1", "a1"), web("w2", "b1")]);
    let said = decide(&mut all, &pod("p", constraint(json!({"minDomains": 3}))))
        .expect_err("no third zone");
    assert!(
        said.contains(&format!("3 {reason}, ")) || said.contains(&format!("3 {reason}.")),
        "{said}"
    );
    assert!(
        said.contains(&format!("1 {reason} (missing required label)")),
        "{said}"
    );
    // Zone b counts unless its taint is honoured, and nothing fits there.
    let mut tainted = zoned("b1", "b");
    merge(
        &mut tainted,
        &json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}}),
    );
    let nodes = [zoned("a1", "a"), tainted];
    let mut all = snapshot(&nodes, &[web("w1", "a1")]);
    assert!(decide(&mut all, &pod("p", constraint(json!({})))).is_err());
    let honest = pod("p", constraint(json!({"nodeTaintsPolicy": "Honor"})));
    assert_eq!(decide(&mut all, &honest), Ok("a1".to_owned()));
    // Zone b does not count if the pod may not go there, unless it says so.
    let mut here = constraint(json!({}));
    merge(
        &mut here,
        &json!({"spec": {"nodeSelector": {"topology.kubernetes.io/zone": "a"}}}),
    );
    assert_eq!(decide(&mut all, &pod("p", here)), Ok("a1".to_owned()));
    let mut ignoring = constraint(json!({"nodeAffinityPolicy": "Ignore"}));
    merge(
        &mut ignoring,
        &json!({"spec": {"nodeSelector": {"topology.kubernetes.io/zone": "a"}}}),
    );
    assert!(decide(&mut all, &pod("p", ignoring)).is_err());
    // Only pods of the same version count.
    let mut versioned = constraint(json!({"matchLabelKeys": ["version"]}));
    merge(&mut versioned, &labelled("version", "2"));
    assert_eq!(decide(&mut all, &pod("p", versioned)), Ok("a1".to_owned()));
}

fn near(kind: &str, term: Value) -> Value {
    let mut one = json!({"topologyKey": "topology.kubernetes.io/zone", "labelSelector": {"matchLabels": {"app": "db"}}});
    merge(&mut one, &term);
    json!({"spec": {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [one]}}}})
}

#[test]
fn pods_go_where_those_are_they_want_near() {
    let nodes = [zoned("a1", "a"), zoned("b1", "b"), node("x", json!({}))];
    let db = placed("db", "a1", labelled("app", "db"));
    let mut all = snapshot(&nodes, &[db]);
    assert_eq!(
        decide(&mut all, &pod("p", near("podAffinity", json!({})))),
        Ok("a1".to_owned())
    );
    let mut elsewhere = near("podAffinity", json!({}));
    merge(&mut elsewhere, &json!({"metadata": {"namespace": "other"}}));
    let said = decide(&mut all, &pod("p", elsewhere)).expect_err("another namespace");
    assert!(
        said.contains("3 node(s) didn't match pod affinity rules."),
        "{said}"
    );
    assert!(said.contains(&format!("3 {USELESS}.")), "{said}");
    for namespaces in [
        json!({"namespaces": ["default"]}),
        json!({"namespaceSelector": {}}),
    ] {
        let mut other = near("podAffinity", namespaces);
        merge(&mut other, &json!({"metadata": {"namespace": "other"}}));
        assert_eq!(decide(&mut all, &pod("p", other)), Ok("a1".to_owned()));
    }
    // The first of a group may go anywhere the label is.
    let mut first = near(
        "podAffinity",
        json!({"labelSelector": {"matchLabels": {"app": "new"}}}),
    );
    merge(&mut first, &labelled("app", "new"));
    let chosen = decide(&mut all, &pod("p", first)).expect("it is the first");
    assert_ne!(chosen, "x");
}

#[test]
fn pods_stay_away_from_others_and_others_keep_them_away() {
    let nodes = [zoned("a1", "a"), zoned("a2", "a")];
    let db = || placed("db", "a1", labelled("app", "db"));
    let mut all = snapshot(&nodes, &[db()]);
    let said = decide(&mut all, &pod("p", near("podAntiAffinity", json!({}))))
        .expect_err("all of the zone");
    assert!(
        said.contains("2 node(s) didn't match pod anti-affinity rules."),
        "{said}"
    );
    let by_node = near(
        "podAntiAffinity",
        json!({"topologyKey": "kubernetes.io/hostname"}),
    );
    assert_eq!(decide(&mut all, &pod("p", by_node)), Ok("a2".to_owned()));
    // Theirs hold as well.
    let shy = placed("shy", "a1", near("podAntiAffinity", json!({})));
    let mut all = snapshot(&nodes, &[shy]);
    let said =
        decide(&mut all, &pod("p", labelled("app", "db"))).expect_err("the shy one is there");
    assert!(
        said.contains("2 node(s) didn't satisfy existing pods anti-affinity rules."),
        "{said}"
    );
    all.remove_pod("shy");
    assert!(decide(&mut all, &pod("p", labelled("app", "db"))).is_ok());
}
