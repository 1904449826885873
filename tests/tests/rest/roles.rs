//! Aggregated cluster roles, and who may do what because of them.

use std::time::Duration;

use serde_json::{Value, json};

use super::start;
use mainstay_tests::apiserver::Apiserver;
use mainstay_tests::rest::Rest;
use mainstay_tests::wait_until;

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster role with one rule, which `aggregate-to-TARGET` chooses.
fn role(name: &str, target: &str, resource: &str) -> Value {
    let label = format!("rbac.authorization.k8s.io/aggregate-to-{target}");
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": name, "labels": { label: "true" } },
        "rules": [
            { "apiGroups": ["example.com"], "resources": [resource], "verbs": ["get", "list"] },
        ],
    })
}

/// Resources of `example.com` that a role grants.
async fn granted(rest: &Rest, name: &str) -> Vec<String> {
    let (code, role) = rest
        .json(&format!("GET {ROLES}/{name}"), &Value::Null)
        .await;
    assert_eq!(code, 200, "{role}");
    let rules = role["rules"].as_array().cloned().unwrap_or_default();
    let rules = rules
        .iter()
        .filter(|rule| rule["apiGroups"][0] == "example.com");
    let names = rules.filter_map(|rule| Some(rule["resources"][0].as_str()?.to_owned()));
    names.collect()
}

async fn wait_for(rest: &Rest, name: &str, expected: &[&str]) {
    let what = format!("{name} grants {expected:?}");
    wait_until(&what, PATIENCE, async || {
        (granted(rest, name).await == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn aggregated_roles_follow_the_roles_they_choose() {
    let (cluster, server, rest) = start().await;
    let second = Apiserver::start(&cluster, Some(server.pki())).await;

    // The default ones are full without anybody's doing.
    wait_until("view, edit and admin are full", PATIENCE, async || {
        let (_, all) = rest.json(&format!("GET {ROLES}"), &Value::Null).await;
        let count = |name: &str| {
            let roles = all["items"].as_array().unwrap();
            let role = roles
                .iter()
                .find(|role| role["metadata"]["name"] == name)
                .unwrap();
            role["rules"].as_array().map_or(0, Vec::len)
        };
        let (view, edit, admin) = (count("view"), count("edit"), count("admin"));
        (view > 5 && edit > view && admin > edit).then_some(())
    })
    .await;

    // view is chosen by edit, and edit by admin; a role of one's own chooses by other labels.
    let own = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "own" },
        "aggregationRule": { "clusterRoleSelectors": [
            { "matchLabels": { "rbac.authorization.k8s.io/aggregate-to-own": "true" } },
        ] },
    });
    let (code, answer) = rest.json(&format!("POST {ROLES}"), &own).await;
    assert_eq!(code, 201, "{answer}");
    let mut apples = role("a", "view", "apples");
    // Something that kubectl knows.
    let nodes = json!({ "apiGroups": [""], "resources": ["nodes"], "verbs": ["list"] });
    apples["rules"].as_array_mut().unwrap().push(nodes);
    for role in [
        apples,
        role("b", "view", "pears"),
        role("c", "own", "plums"),
    ] {
        let (code, answer) = rest.json(&format!("POST {ROLES}"), &role).await;
        assert_eq!(code, 201, "{answer}");
    }
    for name in ["view", "edit", "admin"] {
        wait_for(&rest, name, &["apples", "pears"]).await;
    }
    wait_for(&rest, "own", &["plums"]).await;

    // Who is bound to view may do what was added, and no longer when it is taken away.
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": "carol" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "carol" }],
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let (code, answer) = rest.json(&format!("POST {bindings}"), &binding).await;
    assert_eq!(code, 201, "{answer}");
    let can = async |resource: &str, expected: &str| {
        let arguments = ["auth", "can-i", "list", resource, "--as=carol"];
        wait_until(&format!("{resource}: {expected}"), PATIENCE, async || {
            let said = second.kubectl(&arguments).await;
            said.text.lines().any(|line| line == expected).then_some(())
        })
        .await;
    };
    if mainstay_tests::apiserver::has_kubectl() {
        can("pods", "yes").await;
        can("nodes", "yes").await;
        can("secrets", "no").await;
    }
    let (code, _) = rest.json(&format!("DELETE {ROLES}/a"), &Value::Null).await;
    assert_eq!(code, 200);
    for name in ["view", "edit", "admin"] {
        wait_for(&rest, name, &["pears"]).await;
    }
    if mainstay_tests::apiserver::has_kubectl() {
        can("nodes", "no").await;
    }

    // What somebody writes into an aggregated role does not stay.
    let rules = json!({ "rules": [] });
    let (code, answer) = rest.json(&format!("PATCH {ROLES}/view"), &rules).await;
    assert_eq!(code, 200, "{answer}");
    wait_for(&rest, "view", &["pears"]).await;
    is_settled(&rest).await;
}

/// When nothing changes, nobody writes: neither of two servers, whatever they see when.
async fn is_settled(rest: &Rest) {
    let revisions = async || {
        let (_, all) = rest.json(&format!("GET {ROLES}"), &Value::Null).await;
        let items = all["items"].as_array().cloned().unwrap_or_default();
        let revision = |role: &Value| {
            role["metadata"]["resourceVersion"]
                .as_str()
                .map(str::to_owned)
        };
        items.iter().map(revision).collect::<Vec<_>>()
    };
    let mut last = revisions().await;
    let mut same = 0;
    wait_until("no role is written any more", PATIENCE, async || {
        let now = revisions().await;
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same >= 50).then_some(())
    })
    .await;
    let before = last.clone();
    // Something else that happens is no reason to write roles.
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "elsewhere" } });
    let (code, _) = rest.json("POST /api/v1/namespaces", &namespace).await;
    assert_eq!(code, 201);
    assert_eq!(revisions().await, before);
}
