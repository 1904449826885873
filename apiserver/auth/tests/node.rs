//! What kubelets may do, and the access reviews.

use std::collections::BTreeMap;

use mainstay_auth::node::{NodeAuthorizer, NodeGraph, ObjectKind, POD_PARTS, pod_references};
use mainstay_auth::rbac::RbacAuthorizer;
use mainstay_auth::rbac::bootstrap::Gate;
use mainstay_auth::{
    Attributes, Authorizer, FieldRequirement, Masters, NODES_GROUP, UserInfo, access_review,
    reviewed_user, rules_review,
};
use mainstay_machinery::decode::Outline;
use proptest::prelude::*;
use serde_json::{Value, json};

fn pod(name: &str, node: &str, mut spec: Value) -> Value {
    spec["nodeName"] = json!(node);
    json!({"metadata": {"namespace": "ns", "name": name}, "spec": spec})
}

/// Every way a pod can refer to something.
fn full_pod() -> Value {
    let mut pod = pod(
        "pod",
        "n1",
        json!({
            "serviceAccountName": "sa",
            "imagePullSecrets": [{"name": "pull"}],
            "initContainers": [{"envFrom": [{"secretRef": {"name": "env-from"}}]}],
            "containers": [{"env": [
                {"valueFrom": {"secretKeyRef": {"name": "env-secret"}}},
                {"valueFrom": {"configMapKeyRef": {"name": "env-map"}}},
            ]}],
            "ephemeralContainers": [{"envFrom": [{"configMapRef": {"name": "debug-map"}}]}],
            "volumes": [
                {"name": "a", "secret": {"secretName": "mounted"}},
                {"name": "b", "configMap": {"name": "mounted-map"}},
                {"name": "c", "projected": {"sources": [
                    {"secret": {"name": "projected"}}, {"configMap": {"name": "projected-map"}},
                ]}},
                {"name": "d", "persistentVolumeClaim": {"claimName": "claim"}},
                {"name": "e", "ephemeral": {"volumeClaimTemplate": {}}},
                {"name": "f", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "csi"}}},
            ],
            "resourceClaims": [
                {"name": "one", "resourceClaimName": "gpu"},
                {"name": "two", "resourceClaimTemplateName": "t"},
                {"name": "three", "resourceClaimTemplateName": "t"},
            ],
        }),
    );
    pod["status"] =
        json!({"resourceClaimStatuses": [{"name": "two", "resourceClaimName": "made"}]});
    pod
}

#[test]
fn a_pods_references_are_all_found() {
    let mut found: BTreeMap<ObjectKind, Vec<String>> = BTreeMap::new();
    for (kind, name) in pod_references(&full_pod()) {
        found.entry(kind).or_default().push(name);
    }
    let names = |kind| found[&kind].join(" ");
    assert_eq!(
        names(ObjectKind::Secret),
        "csi env-from env-secret mounted projected pull"
    );
    assert_eq!(
        names(ObjectKind::ConfigMap),
        "debug-map env-map mounted-map projected-map"
    );
    assert_eq!(names(ObjectKind::PersistentVolumeClaim), "claim pod-e");
    assert_eq!(names(ObjectKind::ResourceClaim), "gpu made");
    assert_eq!(names(ObjectKind::ServiceAccount), "sa");
    let text = full_pod().to_string();
    let parts = Outline::new(POD_PARTS.iter().copied()).read(text.as_bytes());
    let read = parts.expect("a pod is JSON");
    assert_eq!(
        pod_references(&read),
        pod_references(&full_pod()),
        "who reads only the parts that are named sees the same"
    );
    let mut mirror = full_pod();
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    assert_eq!(pod_references(&mirror), []);
}

fn authorizer() -> NodeAuthorizer {
    let authorizer = NodeAuthorizer::new(&Gate::SERVED);
    let on_node = |name: &str| json!({"metadata": {"name": name}, "spec": {"nodeName": "n1"}});
    authorizer.update(|graph| {
        graph.set_pod(&full_pod());
        graph.set_persistent_volume(&json!({
            "metadata": {"name": "pv"},
            "spec": {
                "claimRef": {"namespace": "ns", "name": "claim"},
                "csi": {
                    "nodeStageSecretRef": {"namespace": "storage", "name": "stage"},
                    "controllerPublishSecretRef": {"namespace": "storage", "name": "controller"},
                },
            },
        }));
        graph.apply("volumeattachments", &on_node("va"), false);
        graph.apply("resourceslices", &on_node("slice"), false);
    });
    authorizer
}

#[test]
fn a_node_reads_what_its_pods_use_and_little_else() {
    let authorizer = authorizer();
    let none = "no relationship found between node 'n1' and this object";
    // verb, group, resource, subresource, namespace, name | reason of a refusal, or None if allowed
    for (request, expected) in [
        ("get,,secrets,,ns,mounted", None),
        ("watch,,secrets,,ns,mounted", None),
        ("get,,secrets,,ns,other", Some(none)),
        ("get,,secrets,,other,mounted", Some(none)),
        ("list,,secrets,,ns,", Some("No Object name found")),
        (
            "list,,secrets,,,",
            Some("can only read namespaced object of this type"),
        ),
        (
            "update,,secrets,,ns,mounted",
            Some("can only read resources of this type"),
        ),
        ("get,,secrets,,storage,stage", None),
        ("get,,secrets,,storage,controller", Some(none)),
        ("get,,configmaps,,ns,env-map", None),
        ("get,,persistentvolumeclaims,,ns,claim", None),
        ("get,,persistentvolumeclaims,,ns,pod-e", None),
        (
            "list,,persistentvolumeclaims,,ns,claim",
            Some("can only get individual resources of this type"),
        ),
        ("update,,persistentvolumeclaims,status,ns,claim", None),
        ("get,,persistentvolumes,,,pv", None),
        ("get,,persistentvolumes,,,pv2", Some(none)),
        ("get,storage.k8s.io,volumeattachments,,,va", None),
        ("get,resource.k8s.io,resourceclaims,,ns,made", None),
        ("delete,resource.k8s.io,resourceslices,,,slice", None),
        ("create,resource.k8s.io,resourceslices,,,", None),
        (
            "list,resource.k8s.io,resourceslices,,,",
            Some(
                "can only list/watch/deletecollection resourceslices with nodeName field selector",
            ),
        ),
        ("get,,serviceaccounts,,ns,sa", None),
        ("create,,serviceaccounts,token,ns,sa", None),
        ("create,,serviceaccounts,token,ns,default", Some(none)),
        (
            "create,,serviceaccounts,,ns,sa",
            Some("can only create token subresource of serviceaccount"),
        ),
        (
            "list,,serviceaccounts,,ns,",
            Some("can only create tokens for individual service accounts"),
        ),
        (
            "update,coordination.k8s.io,leases,,kube-node-lease,n1",
            None,
        ),
        ("create,coordination.k8s.io,leases,,kube-node-lease,", None),
        (
            "update,coordination.k8s.io,leases,,kube-node-lease,n2",
            Some("can only access node lease with the same name as the requesting node"),
        ),
        (
            "get,coordination.k8s.io,leases,,ns,n1",
            Some(r#"can only access leases in the "kube-node-lease" system namespace"#),
        ),
        ("get,storage.k8s.io,csinodes,,,n1", None),
        (
            "get,storage.k8s.io,csinodes,,,n2",
            Some("can only access CSINode with the same name as the requesting node"),
        ),
        ("get,,nodes,,,n1", None),
        (
            "get,,nodes,,,n2",
            Some("node 'n1' cannot read 'n2', only its own Node object"),
        ),
        (
            "list,,nodes,,,",
            Some("node 'n1' cannot read all nodes, only its own Node object"),
        ),
        ("patch,,nodes,status,,n1", None),
        ("delete,,nodes,,,n1", Some("")),
        ("get,,pods,,ns,pod", None),
        ("get,,pods,,ns,other", Some(none)),
        ("watch,,pods,,ns,pod", None),
        (
            "list,,pods,,,",
            Some("can only list/watch pods with spec.nodeName field selector"),
        ),
        ("create,,pods,eviction,ns,other", None),
        (
            "create,certificates.k8s.io,podcertificaterequests,,ns,",
            None,
        ),
        (
            "delete,certificates.k8s.io,podcertificaterequests,,ns,x",
            Some("nodes may not delete podcertificaterequests"),
        ),
        // The rest follows the rules of system:node.
        ("watch,,services,,,", None),
        ("create,authentication.k8s.io,tokenreviews,,,", None),
        ("create,,services,,ns,", Some("")),
    ] {
        let parts: Vec<&str> = request.split(',').collect();
        let [verb, group, resource, sub, namespace, name] = parts[..] else {
            panic!("six parts: {request}")
        };
        let user = UserInfo::new("system:node:n1", &[NODES_GROUP]);
        let attributes = Attributes::resource(&user, verb, group, resource)
            .part(sub)
            .object(namespace, name);
        let verdict = authorizer.authorize(&attributes);
        let refusal = (!verdict.allowed()).then_some(verdict.reason.as_str());
        assert_eq!(refusal, expected, "{request}");
        let other = UserInfo::new("system:node:n1", &[]);
        assert!(
            !authorizer
                .authorize(&Attributes {
                    user: &other,
                    ..attributes
                })
                .allowed(),
            "not in the group"
        );
    }
}

#[test]
fn lists_of_own_pods_need_the_selector() {
    let authorizer = authorizer();
    let user = UserInfo::new("system:node:n1", &[NODES_GROUP]);
    let allowed = |equal, value: &str| {
        let term = FieldRequirement {
            field: "spec.nodeName".into(),
            equal,
            value: value.into(),
        };
        let list = Attributes::resource(&user, "list", "", "pods");
        authorizer
            .authorize(&Attributes {
                field_selector: &[term],
                ..list
            })
            .allowed()
    };
    assert!(allowed(true, "n1"));
    assert!(!allowed(true, "n2") && !allowed(false, "n1"));
    let nameless = UserInfo::new("system:node:", &[NODES_GROUP]);
    let verdict = authorizer.authorize(&Attributes::resource(&nameless, "get", "", "nodes"));
    assert_eq!(verdict.reason, r#"unknown node for user "system:node:""#);
}

#[test]
fn what_is_gone_gives_no_access() {
    let mut graph = NodeGraph::default();
    let secret =
        |graph: &NodeGraph, node: &str| graph.reaches(node, ObjectKind::Secret, "ns", "mounted");
    graph.set_pod(&full_pod());
    let mut second = full_pod();
    second["metadata"]["name"] = json!("pod2");
    graph.set_pod(&second);
    assert!(secret(&graph, "n1") && !secret(&graph, "n2"));
    graph.remove(ObjectKind::Pod, "ns", "pod");
    assert!(secret(&graph, "n1"), "the other pod uses it too");
    graph.apply("pods", &second, true);
    assert!(!secret(&graph, "n1"));
    assert!(graph.is_empty(), "nothing is left behind");
    graph.apply("configmaps", &full_pod(), false);
    graph.set_pod(&pod("unscheduled", "", json!({"serviceAccountName": "sa"})));
    assert!(graph.is_empty());
}

#[derive(Clone, Debug)]
enum Change {
    Pod(u8, u8, Vec<u8>, Option<u8>),
    PodGone(u8),
    Volume(u8, Option<u8>, u8),
    VolumeGone(u8),
}

fn change() -> impl Strategy<Value = Change> {
    let small = 0_u8..3;
    prop_oneof![
        3 => (small.clone(), 0_u8..3, prop::collection::vec(0_u8..3, 0..3), prop::option::of(0_u8..2))
            .prop_map(|(pod, node, secrets, claim)| Change::Pod(pod, node, secrets, claim)),
        1 => small.clone().prop_map(Change::PodGone),
        2 => (0_u8..2, prop::option::of(0_u8..2), small.clone()).prop_map(|(v, claim, s)| Change::Volume(v, claim, s)),
        1 => (0_u8..2).prop_map(Change::VolumeGone),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// After any changes the graph answers as plain maps do.
    #[test]
    fn the_graph_follows_changes(changes in prop::collection::vec(change(), 0..30)) {
        let mut graph = NodeGraph::default();
        let mut pods: BTreeMap<u8, (u8, Vec<u8>, Option<u8>)> = BTreeMap::new();
        let mut volumes: BTreeMap<u8, (u8, u8)> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Pod(name, node, secrets, claim) => {
                    let mut list: Vec<Value> =
                        secrets.iter().map(|s| json!({"secret": {"secretName": format!("s{s}")}})).collect();
                    list.extend(claim.map(|c| json!({"persistentVolumeClaim": {"claimName": format!("c{c}")}})));
                    graph.set_pod(&pod(&format!("p{name}"), &format!("n{node}"), json!({"volumes": list})));
                    pods.insert(name, (node, secrets, claim));
                }
                Change::PodGone(name) => {
                    graph.remove(ObjectKind::Pod, "ns", &format!("p{name}"));
                    pods.remove(&name);
                }
                Change::Volume(name, claim, secret) => {
                    let reference = claim.map(|claim| json!({"namespace": "ns", "name": format!("c{claim}")}));
                    graph.set_persistent_volume(&json!({
                        "metadata": {"name": format!("v{name}")},
                        "spec": {"claimRef": reference, "rbd": {"secretRef": {"name": format!("s{secret}")}}},
                    }));
                    volumes.remove(&name);
                    volumes.extend(claim.map(|claim| (name, (claim, secret))));
                }
                Change::VolumeGone(name) => {
                    graph.remove(ObjectKind::PersistentVolume, "", &format!("v{name}"));
                    volumes.remove(&name);
                }
            }
        }
        for node in 0..3 {
            let claims = |claim: u8| pods.values().any(|(n, _, c)| *n == node && *c == Some(claim));
            for item in 0..3 {
                let through_volume = volumes.values().any(|(claim, secret)| *secret == item && claims(*claim));
                let secret = pods.values().any(|(n, s, _)| *n == node && s.contains(&item)) || through_volume;
                let volume = volumes.get(&item).is_some_and(|(claim, _)| claims(*claim));
                let node = format!("n{node}");
                let reaches = |kind, namespace: &str, name: String| graph.reaches(&node, kind, namespace, &name);
                prop_assert_eq!(reaches(ObjectKind::Secret, "ns", format!("s{item}")), secret);
                prop_assert_eq!(reaches(ObjectKind::PersistentVolume, "", format!("v{item}")), volume);
                prop_assert_eq!(reaches(ObjectKind::PersistentVolumeClaim, "ns", format!("c{item}")), claims(item));
            }
        }
    }
}

#[test]
fn access_reviews_answer_with_decision_and_reason() {
    let authorizer = authorizer();
    let review = |attributes: Value| {
        let request = json!({"kind": "SubjectAccessReview", "spec": {
            "user": "system:node:n1", "groups": [NODES_GROUP], "resourceAttributes": attributes,
        }});
        access_review(&request, &reviewed_user(&request), &authorizer)["status"].clone()
    };
    let list = |selector: Value| {
        review(json!({"verb": "list", "resource": "pods", "fieldSelector": selector}))
    };
    assert_eq!(
        list(json!({"rawSelector": "spec.nodeName=n1,status.phase!=Failed"})),
        json!({"allowed": true})
    );
    let requirement =
        |operator: &str| json!({"key": "spec.nodeName", "operator": operator, "values": ["n1"]});
    assert_eq!(
        list(json!({"requirements": [requirement("In")]})),
        json!({"allowed": true})
    );
    let reason = "can only list/watch pods with spec.nodeName field selector";
    let error = "spec.resourceAttributes.fieldSelector ignored due to parse error";
    for selector in [
        json!({"rawSelector": "nonsense"}),
        json!({"requirements": [requirement("Exists")]}),
    ] {
        assert_eq!(
            list(selector),
            json!({"allowed": false, "reason": reason, "evaluationError": error})
        );
    }
    let both = list(json!({"requirements": [requirement("In"), requirement("Gt")]}));
    assert_eq!(
        both["evaluationError"],
        "spec.resourceAttributes.fieldSelector partially ignored due to parse error"
    );
    let path =
        json!({"spec": {"user": "u", "nonResourceAttributes": {"verb": "get", "path": "/x"}}});
    let allowed =
        |user: &UserInfo| access_review(&path, user, &Masters)["status"]["allowed"].clone();
    assert_eq!(allowed(&reviewed_user(&path)), json!(false));
    assert_eq!(
        allowed(&UserInfo::new("a", &["system:masters"])),
        json!(true)
    );
}

#[test]
fn rules_reviews_list_what_can_be_listed() {
    let request = json!({"spec": {"namespace": "ns"}});
    let admin = UserInfo::new("a", &["system:masters"]);
    let status = rules_review(&request, &admin, &Masters).expect("a namespace")["status"].clone();
    assert_eq!(
        status,
        json!({
            // Their rules are those of the role `cluster-admin`; they were listed twice.
            "resourceRules": [],
            "nonResourceRules": [],
            "incomplete": false,
        })
    );
    let node = UserInfo::new("system:node:n1", &[NODES_GROUP]);
    let status =
        rules_review(&request, &node, &authorizer()).expect("a namespace")["status"].clone();
    assert_eq!(status["incomplete"], true);
    assert_eq!(
        status["evaluationError"],
        "node authorizer does not support user rule resolution"
    );
    let nothing = rules_review(&request, &node, &RbacAuthorizer::default()).expect("a namespace");
    assert_eq!(nothing["status"]["resourceRules"], json!([]));
    assert!(rules_review(&json!({}), &admin, &Masters).is_err());
}
