//! The policy tables against the golden roles and bindings of Kubernetes 1.36.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mainstay_auth::rbac::bootstrap::{Gate, policy};
use mainstay_auth::rbac::{Event, RbacAuthorizer};
use mainstay_auth::{Attributes, Authorizer, UserInfo};
use serde_json::Value;

/// The golden files were taken from a distribution that adds these to the policy; Kubernetes itself does not
/// have them, and neither do the tables.
const ADDED_NAMES: [&str; 2] = [
    "system:openshift:public-info-viewer",
    "system:controller:service-ca-cert-publisher",
];
const ADDED_RESOURCE: &str = "endpointslices/restricted";

fn golden() -> Option<PathBuf> {
    let folder = "kubernetes-1.36/rbac-bootstrap";
    if let Some(root) = std::env::var_os("MAINSTAY_GOLDEN") {
        return Some(PathBuf::from(root).join(folder));
    }
    let start = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    start
        .ancestors()
        .map(|dir| dir.join("../shared/golden").join(folder))
        .find(|dir| dir.is_dir())
}

/// The objects of a golden file by namespace and name.
fn read(folder: &std::path::Path, file: &str) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(folder.join(file)).expect("the golden file is readable");
    let list: Value = serde_yaml_ng::from_str(&text).expect("the golden file is YAML");
    let items = list["items"]
        .as_array()
        .expect("the golden file is a list")
        .clone();
    let kept = items.into_iter().filter(|item| {
        !ADDED_NAMES.contains(
            &item["metadata"]["name"]
                .as_str()
                .expect("every item has a name"),
        )
    });
    by_name(kept.map(without_added_rule))
}

fn without_added_rule(mut item: Value) -> Value {
    if let Some(rules) = item.get_mut("rules").and_then(Value::as_array_mut) {
        rules.retain(|rule| rule["resources"] != serde_json::json!([ADDED_RESOURCE]));
    }
    item
}

fn by_name(items: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let key = |item: &Value| {
        let metadata = &item["metadata"];
        let part = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        format!("{}/{}", part("namespace"), part("name"))
    };
    items.into_iter().map(|item| (key(&item), item)).collect()
}

fn assert_same(what: &str, ours: &BTreeMap<String, Value>, golden: &BTreeMap<String, Value>) {
    assert!(golden.len() > 5, "{what}: the golden file is not empty");
    let names = |map: &BTreeMap<String, Value>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(ours), names(golden), "{what}: names");
    for (name, object) in golden {
        assert_eq!(&ours[name], object, "{what}: {name}");
    }
}

#[test]
fn the_tables_equal_the_golden_policy() {
    let Some(folder) = golden() else {
        eprintln!("skipped: no golden data beside the project (set MAINSTAY_GOLDEN)");
        return;
    };
    let ours = policy(&[]);
    let mut cluster_roles = read(&folder, "cluster-roles.yaml");
    cluster_roles.extend(read(&folder, "controller-roles.yaml"));
    assert_same(
        "cluster roles",
        &by_name(ours.cluster_roles),
        &cluster_roles,
    );
    let mut bindings = read(&folder, "cluster-role-bindings.yaml");
    bindings.extend(read(&folder, "controller-role-bindings.yaml"));
    assert_same(
        "cluster role bindings",
        &by_name(ours.cluster_role_bindings),
        &bindings,
    );
    assert_same(
        "roles",
        &by_name(ours.roles),
        &read(&folder, "namespace-roles.yaml"),
    );
    let role_bindings = read(&folder, "namespace-role-bindings.yaml");
    assert_same(
        "role bindings",
        &by_name(ours.role_bindings),
        &role_bindings,
    );

    let all: Vec<Value> = policy(&Gate::ALL)
        .cluster_roles
        .into_iter()
        .filter(|role| {
            !role["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .starts_with("system:controller:")
        })
        .collect();
    let gated = read(&folder, "cluster-roles-featuregates.yaml");
    assert_same("cluster roles behind gates", &by_name(all), &gated);
}

#[test]
fn a_gate_adds_roles_rules_and_bindings() {
    let (closed, open) = (policy(&[]), policy(&Gate::SERVED));
    let has = |list: &[Value], name: &str| list.iter().any(|item| item["metadata"]["name"] == name);
    let name = "system:cluster-trust-bundle-discovery";
    assert!(!has(&closed.cluster_roles, name) && has(&open.cluster_roles, name));
    assert!(!has(&closed.cluster_role_bindings, name) && has(&open.cluster_role_bindings, name));
}

/// The policy at work: what its users may do without anybody granting anything.
#[test]
fn the_policy_lets_each_component_do_its_work() {
    let policy = policy(&[]);
    let rbac = RbacAuthorizer::default();
    for (resource, objects) in [
        ("clusterroles", &policy.cluster_roles),
        ("clusterrolebindings", &policy.cluster_role_bindings),
        ("roles", &policy.roles),
        ("rolebindings", &policy.role_bindings),
    ] {
        for object in objects {
            rbac.apply(Event::from_object(resource, object, false).expect("one of the four"));
        }
    }
    let may =
        |user: &str, groups: &[&str], verb: &str, group: &str, resource: &str, namespace: &str| {
            let user = UserInfo::new(user, groups);
            rbac.authorize(
                &Attributes::resource(&user, verb, group, resource).object(namespace, "x"),
            )
            .allowed()
        };
    assert!(may("a", &["system:masters"], "delete", "", "nodes", ""));
    assert!(may(
        "system:kube-scheduler",
        &[],
        "create",
        "coordination.k8s.io",
        "leases",
        "kube-system"
    ));
    assert!(!may(
        "system:kube-scheduler",
        &[],
        "delete",
        "",
        "secrets",
        "kube-system"
    ));
    let deployments = "system:serviceaccount:kube-system:deployment-controller";
    assert!(may(deployments, &[], "create", "apps", "replicasets", "ns"));
    assert!(!may(deployments, &[], "create", "apps", "daemonsets", "ns"));
    let reviews = ("authorization.k8s.io", "selfsubjectaccessreviews");
    assert!(may(
        "a",
        &["system:authenticated"],
        "create",
        reviews.0,
        reviews.1,
        ""
    ));
    assert!(!may(
        "a",
        &["system:unauthenticated"],
        "create",
        reviews.0,
        reviews.1,
        ""
    ));
    let path = |group: &str, path: &str| {
        let user = UserInfo::new("a", &[group]);
        rbac.authorize(&Attributes::path(&user, "get", path))
            .allowed()
    };
    assert!(
        path("system:unauthenticated", "/healthz") && path("system:unauthenticated", "/version")
    );
    assert!(
        path("system:authenticated", "/apis/apps/v1") && !path("system:unauthenticated", "/apis")
    );
    assert!(path("system:monitoring", "/metrics") && !path("system:authenticated", "/metrics"));
    for binding in &policy.cluster_role_bindings {
        rbac.apply(Event::from_object("clusterrolebindings", binding, true).expect("a binding"));
    }
    assert!(
        !path("system:monitoring", "/metrics"),
        "gone with its binding"
    );
    assert!(Event::from_object("pods", &policy.roles[0], false).is_none());
    assert!(
        Event::from_object("roles", &policy.cluster_roles[0], false).is_none(),
        "has no namespace"
    );
    assert!(
        Event::from_object("clusterroles", &policy.roles[0], false).is_none(),
        "has a namespace"
    );
}
