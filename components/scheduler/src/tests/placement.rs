//! Many decisions after each other.

use std::sync::Arc;

use serde_json::json;

use super::support::{asks, node, placed, pod, snapshot};
use crate::decide::wanted;
use crate::{Decider, Decision};

#[test]
fn of_many_nodes_a_share_is_looked_for() {
    for (nodes, share) in [
        (1, 1),
        (99, 99),
        (100, 100),
        (250, 120),
        (1000, 420),
        (5000, 500),
        (6000, 300),
        (15000, 750),
    ] {
        assert_eq!(wanted(nodes), share, "of {nodes}");
    }
}

#[test]
fn assumed_pods_count_until_they_are_forgotten() {
    let mut all = snapshot(&[node("n", json!({}))], &[]);
    let mut decider = Decider::new(1);
    let first = pod("first", asks("3", "1Gi"));
    let second = pod("second", asks("3", "1Gi"));
    let Decision::Node(n) = decider.decide(&mut all, &first) else {
        panic!("there is room");
    };
    all.assume(&first, n);
    assert!(all.is_assumed("first"));
    assert!(matches!(
        decider.decide(&mut all, &second),
        Decision::Nowhere(_)
    ));
    all.forget("first");
    assert!(matches!(
        decider.decide(&mut all, &second),
        Decision::Node(_)
    ));
    // Once it is seen at its node it is no assumption, and cannot be forgotten.
    all.assume(&first, n);
    all.set_pod(&placed("first", "n", asks("3", "1Gi")));
    assert!(!all.is_assumed("first"));
    all.forget("first");
    assert!(matches!(
        decider.decide(&mut all, &second),
        Decision::Nowhere(_)
    ));
}

#[test]
fn a_node_that_goes_and_comes_again_has_its_pods() {
    let mut all = snapshot(
        &[node("n", json!({})), node("m", json!({}))],
        &[placed("q", "n", asks("3", "1Gi"))],
    );
    let mut decider = Decider::new(1);
    let p = pod("p", asks("3", "1Gi"));
    all.remove_node("n");
    assert_eq!(all.len(), 1);
    all.remove_node("m");
    assert!(matches!(decider.decide(&mut all, &p), Decision::Nowhere(_)));
    let again = serde_json::from_value(node("n", json!({}))).expect("a node");
    all.set_node(&Arc::new(again));
    assert!(
        matches!(decider.decide(&mut all, &p), Decision::Nowhere(_)),
        "q is still there"
    );
    all.remove_pod("q");
    assert!(matches!(decider.decide(&mut all, &p), Decision::Node(_)));
}

#[test]
fn pods_fill_nodes_evenly() {
    let nodes: Vec<_> = (0..10).map(|n| node(&format!("n{n}"), json!({}))).collect();
    let mut all = snapshot(&nodes, &[]);
    let mut decider = Decider::new(3);
    for n in 0..40 {
        let p = pod(&format!("p{n}"), asks("1", "2Gi"));
        let Decision::Node(node) = decider.decide(&mut all, &p) else {
            panic!("there is room for {n}");
        };
        all.assume(&p, node);
    }
    let more = pod("more", asks("1", "2Gi"));
    assert!(matches!(
        decider.decide(&mut all, &more),
        Decision::Nowhere(_)
    ));
}
