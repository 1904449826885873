//! RBAC decisions: the compiled index against a naive evaluator.

mod common;

use std::sync::Arc;

use common::{binding, role, rule_of, urls, user_subject};
use mainstay_auth::rbac::{
    Binding, Event, PolicyRule, RbacAuthorizer, Role, RoleRef, Subject, SubjectKind, covers,
};
use mainstay_auth::{Attributes, Authorizer, Masters, OpenPaths, Union, UserInfo};
use proptest::prelude::*;

/// All roles and bindings in plain lists, evaluated as the definition says.
#[derive(Clone, Debug, Default)]
struct Naive {
    roles: Vec<Role>,
    bindings: Vec<Binding>,
}

impl Naive {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::Role(role) => {
                self.roles
                    .retain(|own| (&own.namespace, &own.name) != (&role.namespace, &role.name));
                self.roles.push(role.clone());
            }
            Event::RoleGone(namespace, name) => {
                self.roles
                    .retain(|own| (&own.namespace, &own.name) != (namespace, name));
            }
            Event::Binding(binding) => {
                self.bindings.retain(|own| {
                    (&own.namespace, &own.name) != (&binding.namespace, &binding.name)
                });
                self.bindings.push(binding.clone());
            }
            Event::BindingGone(namespace, name) => {
                self.bindings
                    .retain(|own| (&own.namespace, &own.name) != (namespace, name));
            }
        }
    }

    fn allowed(&self, attributes: &Attributes<'_>) -> bool {
        let in_scope = |binding: &&Binding| {
            binding.namespace.is_empty() || binding.namespace == attributes.namespace
        };
        self.bindings.iter().filter(in_scope).any(|binding| {
            let namespace = match binding.role_ref.kind.as_str() {
                "Role" => binding.namespace.as_str(),
                "ClusterRole" => "",
                _ => return false,
            };
            // A cluster role binding cannot find a Role, for it has no namespace to look in.
            let dangling = binding.role_ref.kind == "Role" && namespace.is_empty();
            let applies = binding
                .subjects
                .iter()
                .any(|s| s.applies_to(attributes.user, &binding.namespace));
            let role = self.roles.iter().find(|role| {
                !dangling && role.namespace == namespace && role.name == binding.role_ref.name
            });
            applies
                && role.is_some_and(|role| role.rules.iter().any(|rule| rule.allows(attributes)))
        })
    }
}

fn pick(items: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(items).prop_map(str::to_owned)
}

fn some(items: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(pick(items), 0..=most)
}

const NAMESPACES: &[&str] = &["", "a", "b"];
const NAMES: &[&str] = &["r1", "r2", "r3"];
const USERS: &[&str] = &[
    "u1",
    "u2",
    "system:serviceaccount:a:s1",
    "system:serviceaccount:b:s1",
];

fn rule() -> impl Strategy<Value = PolicyRule> {
    (
        some(&["get", "list", "*"], 2),
        some(&["", "apps", "*"], 2),
        some(
            &["pods", "pods/log", "*/log", "*/scale", "deployments", "*"],
            2,
        ),
        some(&["x", "y"], 1),
        some(&["/healthz", "/api*", "*"], 1),
    )
        .prop_map(
            |(verbs, api_groups, resources, resource_names, non_resource_urls)| PolicyRule {
                verbs,
                api_groups,
                resources,
                resource_names,
                non_resource_urls,
            },
        )
}

fn subject() -> impl Strategy<Value = Subject> {
    let kinds = [
        SubjectKind::User,
        SubjectKind::Group,
        SubjectKind::ServiceAccount,
        SubjectKind::Unknown,
    ];
    (
        prop::sample::select(kinds.to_vec()),
        pick(&["u1", "u2", "g1", "g2", "s1"]),
        pick(NAMESPACES),
    )
        .prop_map(|(kind, name, namespace)| Subject {
            kind,
            name,
            namespace,
        })
}

fn event() -> impl Strategy<Value = Event> {
    let role = (
        pick(NAMESPACES),
        pick(NAMES),
        prop::collection::vec(rule(), 0..3),
    )
        .prop_map(|(namespace, name, rules)| {
            Event::Role(Role {
                namespace,
                name,
                rules: Arc::new(rules),
            })
        });
    let binding = (
        pick(NAMESPACES),
        pick(NAMES),
        pick(&["Role", "ClusterRole", "Other"]),
        pick(NAMES),
        prop::collection::vec(subject(), 0..3),
    )
        .prop_map(|(namespace, name, kind, role, subjects)| {
            Event::Binding(Binding {
                namespace,
                name,
                role_ref: RoleRef { kind, name: role },
                subjects,
            })
        });
    prop_oneof![
        4 => role,
        4 => binding,
        1 => (pick(NAMESPACES), pick(NAMES)).prop_map(|(ns, name)| Event::RoleGone(ns, name)),
        1 => (pick(NAMESPACES), pick(NAMES)).prop_map(|(ns, name)| Event::BindingGone(ns, name)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_index_decides_as_the_naive_evaluator(events in prop::collection::vec(event(), 0..30)) {
        let rbac = RbacAuthorizer::default();
        let mut naive = Naive::default();
        for event in events {
            naive.apply(&event);
            rbac.apply(event);
        }
        for username in USERS {
            let user = UserInfo::new(*username, &["g1"]);
            for path in ["/healthz", "/apis/apps", "/"] {
                let attributes = Attributes::path(&user, "get", path);
                prop_assert_eq!(rbac.authorize(&attributes).allowed(), naive.allowed(&attributes));
            }
            for namespace in NAMESPACES {
                for (group, resource, sub) in [("", "pods", ""), ("", "pods", "log"), ("apps", "deployments", "scale")] {
                    for (verb, name) in [("get", "x"), ("list", ""), ("delete", "y")] {
                        let attributes =
                            Attributes::resource(&user, verb, group, resource).part(sub).object(namespace, name);
                        let verdict = rbac.authorize(&attributes);
                        prop_assert_eq!(verdict.allowed(), naive.allowed(&attributes), "{:?}", attributes);
                        prop_assert!(!verdict.allowed() || verdict.reason.starts_with("RBAC: allowed by "));
                    }
                }
            }
        }
    }

    #[test]
    fn rules_cover_themselves_and_all_covers_everything(rules in prop::collection::vec(rule(), 0..4)) {
        let rules: Vec<PolicyRule> = rules.into_iter().map(valid).collect();
        prop_assert_eq!(covers(&rules, &rules).expect("few rules"), vec![]);
        let all = [rule_of("*", "*", "*"), urls("*", "*")];
        prop_assert_eq!(covers(&all, &rules).expect("few rules"), vec![]);
    }
}

/// Validation refuses a rule that names both objects and paths.
fn valid(rule: PolicyRule) -> PolicyRule {
    let names = if rule.non_resource_urls.is_empty() {
        rule.resource_names
    } else {
        Vec::new()
    };
    PolicyRule {
        resource_names: names,
        ..rule
    }
}

#[test]
fn covering_follows_upstreams_cases() {
    let named = |names: &[&str]| PolicyRule {
        resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..rule_of("get", "core", "pods")
    };
    for (held, wanted, missing) in [
        (
            vec![rule_of("get", "core", "pods")],
            vec![rule_of("get", "core", "pods")],
            0,
        ),
        (
            vec![rule_of("get", "core", "pods")],
            vec![rule_of("get,list", "core", "pods,secrets")],
            3,
        ),
        // Two held rules together cover one wanted rule, part by part.
        (
            vec![
                rule_of("get", "core", "pods"),
                rule_of("list", "core", "pods"),
            ],
            vec![rule_of("get,list", "core", "pods")],
            0,
        ),
        (
            vec![rule_of("get", "core", "*/log")],
            vec![rule_of("get", "core", "pods/log")],
            0,
        ),
        (
            vec![rule_of("get", "core", "pods")],
            vec![rule_of("get", "core", "pods/log")],
            1,
        ),
        (
            vec![rule_of("get", "core", "*")],
            vec![rule_of("get", "core", "pods/log")],
            0,
        ),
        (
            vec![rule_of("get", "core", "pods")],
            vec![rule_of("*", "core", "pods")],
            1,
        ),
        (vec![rule_of("get", "core", "pods")], vec![named(&["a"])], 0),
        (vec![named(&["a"])], vec![named(&["a", "b"])], 1),
        (vec![named(&["a"])], vec![rule_of("get", "core", "pods")], 1),
        (vec![urls("get", "/api/*")], vec![urls("get", "/api/v1")], 0),
        (vec![urls("get", "/api/*")], vec![urls("get", "/api")], 1),
        (vec![urls("get", "/api/*")], vec![urls("get", "/api/*")], 0),
        (vec![], vec![], 0),
    ] {
        assert_eq!(
            covers(&held, &wanted).expect("few rules").len(),
            missing,
            "{held:?} for {wanted:?}"
        );
    }
    let many: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let huge = PolicyRule {
        verbs: many.clone(),
        api_groups: many.clone(),
        resources: many,
        ..PolicyRule::default()
    };
    assert!(
        covers(&[], &[huge]).is_err(),
        "a role that explodes is refused, not compared"
    );
}

#[test]
fn reasons_name_the_binding_and_missing_roles() {
    let rbac = RbacAuthorizer::default();
    let account = Subject {
        kind: SubjectKind::ServiceAccount,
        name: "s1".into(),
        namespace: String::new(),
    };
    rbac.apply(role("", "reader", &[rule_of("get", "core", "pods")]));
    rbac.apply(binding(
        "a",
        "rb",
        "ClusterRole",
        "reader",
        vec![user_subject("u"), account],
    ));
    rbac.apply(binding(
        "",
        "crb",
        "ClusterRole",
        "gone",
        vec![user_subject("u")],
    ));
    rbac.apply(binding("a", "rb2", "Role", "gone", vec![user_subject("u")]));
    let reason = |user: &str, namespace: &str| {
        let user = UserInfo::new(user, &[]);
        rbac.authorize(&Attributes::resource(&user, "get", "", "pods").object(namespace, "x"))
            .reason
    };
    assert_eq!(
        reason("system:serviceaccount:a:s1", "a"),
        r#"RBAC: allowed by RoleBinding "rb/a" of ClusterRole "reader" to ServiceAccount "s1/a""#
    );
    assert_eq!(
        reason("u", "a"),
        r#"RBAC: allowed by RoleBinding "rb/a" of ClusterRole "reader" to User "u""#
    );
    assert_eq!(
        reason("u", "b"),
        r#"RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found"#
    );
    assert_eq!(reason("nobody", "a"), "");
    rbac.apply(Event::BindingGone("a".into(), "rb".into()));
    assert_eq!(
        reason("u", "a"),
        "RBAC: [clusterrole.rbac.authorization.k8s.io \"gone\" not found, role.rbac.authorization.k8s.io \"gone\" not found]"
    );
}

#[test]
fn the_union_asks_in_order_and_joins_reasons() {
    let rbac = Arc::new(RbacAuthorizer::default());
    rbac.apply(binding(
        "",
        "crb",
        "ClusterRole",
        "gone",
        vec![user_subject("u")],
    ));
    let open = OpenPaths::new(&["/healthz", "/readyz/*"]);
    let union = Union::new(vec![Arc::new(Masters), Arc::new(open), rbac]);
    let (admin, user) = (
        UserInfo::new("admin", &["system:masters"]),
        UserInfo::new("u", &[]),
    );
    let delete = |user| union.authorize(&Attributes::resource(user, "delete", "", "nodes"));
    assert!(delete(&admin).allowed());
    assert_eq!(
        delete(&user).reason,
        r#"RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found"#
    );
    let get = |path| {
        union
            .authorize(&Attributes::path(&user, "get", path))
            .allowed()
    };
    assert!(get("/healthz") && get("/readyz/etcd"));
    assert!(!get("/healthz/etcd") && !get("/metrics"));
}
