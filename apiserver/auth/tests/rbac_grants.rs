//! Who may grant what, and how the policy of the tables is kept.

mod common;

use common::{binding, role, rule_of, urls, user_subject};
use mainstay_auth::UserInfo;
use mainstay_auth::rbac::{
    Escalation, GrantCheck, PolicyRule, RbacAuthorizer, Reconciled, RoleKind, aggregate_rules,
    reconcile_binding, reconcile_role,
};
use serde_json::{Value, json};

/// A user `u` who may get pods in namespace `a` and bind the cluster role `lent`.
fn grants() -> RbacAuthorizer {
    let rbac = RbacAuthorizer::default();
    let bind = PolicyRule {
        resource_names: vec!["lent".into()],
        ..rule_of("bind", "rbac.authorization.k8s.io", "clusterroles")
    };
    rbac.apply(role("a", "reader", &[rule_of("get", "core", "pods"), bind]));
    rbac.apply(role("", "lent", &[rule_of("*", "*", "*")]));
    rbac.apply(role("", "strong", &[rule_of("delete", "core", "pods")]));
    rbac.apply(binding(
        "a",
        "rb",
        "Role",
        "reader",
        vec![user_subject("u")],
    ));
    rbac.apply(role("", "all", &[rule_of("*", "*", "*"), urls("*", "*")]));
    rbac.apply(binding(
        "",
        "crb",
        "ClusterRole",
        "all",
        vec![user_subject("root")],
    ));
    rbac.apply(role(
        "",
        "escalate",
        &[rule_of(
            "escalate",
            "rbac.authorization.k8s.io",
            "clusterroles",
        )],
    ));
    rbac.apply(binding(
        "",
        "crb2",
        "ClusterRole",
        "escalate",
        vec![user_subject("climber")],
    ));
    rbac
}

#[test]
fn nobody_grants_more_than_they_hold() {
    let rbac = grants();
    let check = |user: &UserInfo, kind, namespace: &str, new: &Value, old: Option<&Value>| {
        GrantCheck {
            user,
            rbac: &rbac,
            authorizer: &rbac,
        }
        .role(kind, namespace, "", new, old)
    };
    let user = UserInfo::new("u", &["dev", "system:authenticated"]);
    let rules = |rules: Value| json!({"metadata": {"name": "new"}, "rules": rules});
    let get = rules(json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]));
    let more = rules(
        json!([{"apiGroups": [""], "resources": ["secrets", "pods"], "verbs": ["get", "list"]}]),
    );
    assert_eq!(check(&user, RoleKind::Role, "a", &get, None), Ok(()));
    assert!(
        check(&user, RoleKind::Role, "b", &get, None).is_err(),
        "held in another namespace only"
    );
    let Err(Escalation::Forbidden(message)) = check(&user, RoleKind::Role, "a", &more, None) else {
        panic!("the user does not hold these rules");
    };
    assert_eq!(
        message,
        "user \"u\" (groups=[\"dev\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
         {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"list\"]}\n\
         {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}"
    );
    let mut collected = more.clone();
    collected["metadata"]["finalizers"] = json!(["x"]);
    assert_eq!(
        check(&user, RoleKind::Role, "a", &more, Some(&collected)),
        Ok(()),
        "only for the collector"
    );
    for name in ["root", "climber"] {
        assert_eq!(
            check(
                &UserInfo::new(name, &[]),
                RoleKind::ClusterRole,
                "",
                &more,
                None
            ),
            Ok(()),
            "{name}"
        );
    }
    assert_eq!(
        check(
            &UserInfo::new("x", &["system:masters"]),
            RoleKind::Role,
            "a",
            &more,
            None
        ),
        Ok(())
    );
    let gathering =
        json!({"metadata": {"name": "new"}, "aggregationRule": {"clusterRoleSelectors": [{}]}});
    assert_eq!(
        check(&user, RoleKind::ClusterRole, "", &gathering, None),
        Err(Escalation::Forbidden(
            "must have cluster-admin privileges to use the aggregationRule".into()
        ))
    );
    assert_eq!(
        check(
            &UserInfo::new("root", &[]),
            RoleKind::ClusterRole,
            "",
            &gathering,
            None
        ),
        Ok(())
    );
}

#[test]
fn binding_needs_the_rules_or_the_verb() {
    let rbac = grants();
    let user = UserInfo::new("u", &[]);
    let check = |namespace: &str, kind: &str, name: &str| {
        let new = json!({"metadata": {"name": "new"}, "roleRef": {"kind": kind, "name": name}});
        GrantCheck {
            user: &user,
            rbac: &rbac,
            authorizer: &rbac,
        }
        .binding(namespace, &new, None)
    };
    assert_eq!(
        check("a", "Role", "reader"),
        Ok(()),
        "holds every rule of it"
    );
    assert_eq!(check("a", "ClusterRole", "lent"), Ok(()), "may bind it");
    assert!(
        matches!(
            check("", "ClusterRole", "lent"),
            Err(Escalation::Forbidden(_))
        ),
        "not cluster-wide"
    );
    assert!(matches!(
        check("a", "ClusterRole", "strong"),
        Err(Escalation::Forbidden(_))
    ));
    let missing = check("a", "ClusterRole", "gone").expect_err("there is no such role");
    assert_eq!(
        missing.to_string(),
        r#"clusterroles.rbac.authorization.k8s.io "gone" not found"#
    );
}

fn policy_role(annotation: &str, rules: Value) -> Value {
    json!({
        "metadata": {
            "name": "r",
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": annotation},
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        },
        "rules": rules,
    })
}

#[test]
fn reconciliation_adds_and_never_takes_away() {
    let pods = |verb: &str| json!({"apiGroups": [""], "resources": ["pods"], "verbs": [verb]});
    let expected = policy_role("true", json!([pods("get"), pods("list")]));
    assert_eq!(
        reconcile_role(None, &expected),
        Reconciled::Create(expected.clone())
    );
    assert_eq!(
        reconcile_role(Some(&expected), &expected),
        Reconciled::Unchanged
    );
    let protected = policy_role("false", json!([]));
    assert_eq!(
        reconcile_role(Some(&protected), &expected),
        Reconciled::Protected
    );
    let mut changed = policy_role("true", json!([pods("get"), pods("delete")]));
    changed["metadata"]["labels"] = json!({"own": "kept"});
    let mut updated = policy_role("true", json!([pods("get"), pods("delete"), pods("list")]));
    updated["metadata"]["labels"]["own"] = json!("kept");
    assert_eq!(
        reconcile_role(Some(&changed), &expected),
        Reconciled::Update(updated)
    );
    let bare = json!({"metadata": {"name": "r"}, "rules": null});
    assert_eq!(
        reconcile_role(Some(&bare), &expected),
        Reconciled::Update(expected.clone())
    );

    let selector = |label: &str| json!({"matchLabels": {label: "true"}});
    let mut gathering = policy_role("true", Value::Null);
    gathering["aggregationRule"] = json!({"clusterRoleSelectors": [selector("a")]});
    let mut own = gathering.clone();
    own["aggregationRule"] = json!({"clusterRoleSelectors": [selector("b")]});
    let Reconciled::Update(merged) = reconcile_role(Some(&own), &gathering) else {
        panic!("a selector is missing")
    };
    assert_eq!(
        merged["aggregationRule"]["clusterRoleSelectors"],
        json!([selector("b"), selector("a")])
    );
    let Reconciled::Update(plain) = reconcile_role(Some(&gathering), &expected) else {
        panic!("not aggregated")
    };
    assert_eq!(plain.get("aggregationRule"), None);
}

#[test]
fn a_binding_gets_missing_subjects_or_is_made_anew() {
    let group = |name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name});
    let binding = |role: &str, subjects: Value| json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": subjects});
    let expected = binding("r", json!([group("a")]));
    assert_eq!(
        reconcile_binding(Some(&binding("r", json!([group("b")]))), &expected),
        Reconciled::Update(binding("r", json!([group("b"), group("a")])))
    );
    assert_eq!(
        reconcile_binding(Some(&expected), &expected),
        Reconciled::Unchanged
    );
    let other = binding("other", json!([]));
    assert_eq!(
        reconcile_binding(Some(&other), &expected),
        Reconciled::Recreate(expected.clone())
    );
    let none = binding("r", Value::Null);
    assert_eq!(reconcile_binding(Some(&none), &none), Reconciled::Unchanged);
}

#[test]
fn aggregated_roles_gather_by_label() {
    let source = |name: &str, labels: Value, rule: &str| json!({"metadata": {"name": name, "labels": labels}, "rules": [{"verbs": [rule]}]});
    let sources = [
        source("z", json!({"to-view": "true"}), "one"),
        source("a", json!({"to-view": "true"}), "two"),
        source("b", json!({"to-edit": "true"}), "three"),
        source("c", json!({"to-view": "true"}), "one"),
    ];
    let all: Vec<&Value> = sources.iter().collect();
    let gather = |selector: Value| {
        let role = json!({"metadata": {"name": "view"}, "aggregationRule": {"clusterRoleSelectors": [selector]}});
        let rules = aggregate_rules(&role, &all).expect("the role aggregates");
        rules
            .iter()
            .map(|rule| rule["verbs"][0].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        gather(json!({"matchLabels": {"to-view": "true"}})),
        ["two", "one"]
    );
    let exists = json!({"matchExpressions": [{"key": "to-edit", "operator": "Exists"}]});
    assert_eq!(gather(exists), ["three"]);
    assert_eq!(aggregate_rules(&sources[0], &all), None);
}
