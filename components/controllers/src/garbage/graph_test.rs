//! Changes of objects, and what they make worth a look.

use kube::core::{ApiResource, ObjectMeta};
use serde_json::{Value, json};

use super::graph::{Graph, Node, Work};

/// One change: `+uid` with owners and state, or `-uid`.
type Step<'a> = (&'a str, &'a [&'a str], &'a str, &'a [&'a str]);

fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &kube::core::GroupVersionKind::gvk("apps", "v1", "Thing"),
        "things",
    )
}

/// Owners are uids, with `!` if they wait for the object; `state` is any of: deleting, orphan, foreground, and `@ns`
/// for another namespace.
fn node(uid: &str, owners: &[&str], state: &str) -> Node {
    let has = |word: &str| state.split(' ').any(|own| own == word);
    let owners = owners.iter().map(|owner| {
        let name = owner.trim_end_matches('!');
        json!({"apiVersion": "apps/v1", "kind": "Thing", "name": name, "uid": name,
            "blockOwnerDeletion": owner.ends_with('!')})
    });
    let owners: Vec<Value> = owners.collect();
    let mut finalizers = Vec::new();
    finalizers.extend(has("orphan").then_some("orphan"));
    finalizers.extend(has("foreground").then_some("foregroundDeletion"));
    let namespace = state.split(' ').find_map(|word| word.strip_prefix('@'));
    let meta = json!({
        "name": uid, "uid": uid, "namespace": namespace.unwrap_or("default"),
        "ownerReferences": owners, "finalizers": finalizers,
        "deletionTimestamp": has("deleting").then_some("2026-01-01T00:00:00Z"),
    });
    let meta: ObjectMeta = serde_json::from_value(meta).expect("metadata");
    Node::new(&resource(), &meta)
}

fn shown(mut work: Vec<Work>) -> Vec<String> {
    work.sort();
    work.dedup();
    let text = |work: &Work| match work {
        Work::Delete(uid) => format!("delete {uid}"),
        Work::DeleteLater(uid) => format!("later {uid}"),
        Work::Orphan(uid) => format!("orphan {uid}"),
    };
    work.iter().map(text).collect()
}

fn check(title: &str, steps: &[Step<'_>]) {
    let mut graph = Graph::default();
    for (at, (change, owners, state, expected)) in steps.iter().enumerate() {
        let (sign, uid) = change.split_at(1);
        let work = match sign {
            "+" => graph.put(node(uid, owners, state)),
            _ => graph.remove(uid),
        };
        assert_eq!(shown(work), *expected, "{title}, step {at}: {change}");
    }
}

#[test]
fn dependents_are_looked_at_when_their_owner_is_gone() {
    check(
        "owner seen first",
        &[
            ("+rs", &[], "", &[]),
            ("+pod", &["rs!"], "", &[]),
            ("+pod", &["rs!"], "", &[]),
            ("-rs", &[], "", &["delete pod"]),
            ("-pod", &[], "", &[]),
        ],
    );
    check(
        "owner seen later",
        &[
            ("+pod", &["rs"], "", &["later pod"]),
            ("+rs", &[], "", &[]),
            ("-rs", &[], "", &["delete pod"]),
        ],
    );
    check(
        "owner seen never",
        &[("+pod", &["rs"], "", &["later pod"]), ("-rs", &[], "", &[])],
    );
    check(
        "let go before",
        &[
            ("+rs", &[], "", &[]),
            ("+pod", &["rs"], "", &[]),
            ("+pod", &[], "", &[]),
            ("-rs", &[], "", &[]),
        ],
    );
    check(
        "one that goes already",
        &[("+pod", &["rs"], "deleting", &[])],
    );
}

#[test]
fn an_owner_in_another_namespace_is_none() {
    check(
        "owner first",
        &[
            ("+rs", &[], "@other", &[]),
            ("+pod", &["rs"], "", &["later pod"]),
        ],
    );
    check(
        "owner last",
        &[
            ("+pod", &["rs"], "", &["later pod"]),
            ("+rs", &[], "@other", &["later pod"]),
        ],
    );
    let mut graph = Graph::default();
    graph.put(node("rs", &[], "@other"));
    let pod = node("pod", &["rs"], "");
    graph.put(pod.clone());
    assert_eq!(graph.foreign_owners(&pod).count(), 1);
    assert!(!graph.is_kept(&pod));
}

#[test]
fn deletion_in_the_foreground_goes_down_and_comes_up_again() {
    check(
        "down and up",
        &[
            ("+d", &[], "", &[]),
            ("+rs", &["d!"], "", &[]),
            ("+pod", &["rs!"], "", &[]),
            ("+d", &[], "deleting foreground", &["delete d", "delete rs"]),
            ("+d", &[], "deleting foreground", &[]),
            (
                "+rs",
                &["d!"],
                "deleting foreground",
                &["delete pod", "delete rs"],
            ),
            ("+pod", &["rs!"], "deleting", &[]),
            ("-pod", &[], "", &["delete rs"]),
            ("-rs", &[], "", &["delete d"]),
        ],
    );
    check(
        "who stops holding it up lets it go",
        &[
            ("+d", &[], "deleting foreground", &["delete d"]),
            ("+rs", &["d!"], "", &["later rs"]),
            ("+rs", &["d"], "", &["delete d", "later rs"]),
        ],
    );
    let mut graph = Graph::default();
    graph.put(node("d", &[], "deleting foreground"));
    graph.put(node("a", &["d!"], ""));
    graph.put(node("b", &["d"], ""));
    assert_eq!(graph.owned_by("d").len(), 2);
    assert_eq!(graph.blocking("d").len(), 1);
}

#[test]
fn orphaning_begins_once() {
    check(
        "finalizer with the deletion",
        &[
            ("+rs", &[], "orphan", &[]),
            ("+rs", &[], "deleting orphan", &["orphan rs"]),
            ("+rs", &[], "deleting orphan @x", &[]),
        ],
    );
    check(
        "seen at the start",
        &[("+rs", &[], "deleting orphan", &["orphan rs"])],
    );
}
