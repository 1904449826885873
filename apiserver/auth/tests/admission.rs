//! What kubelets may write.

use mainstay_auth::admission::{Admission, NodeRestriction, Operation};
use mainstay_auth::{Attributes, Authorizer, NODES_GROUP, RuleList, UserInfo, Verdict};
use serde_json::{Value, json};

/// Allows the listed `verb name` pairs.
struct Allow(&'static [(&'static str, &'static str)]);

impl Authorizer for Allow {
    fn authorize(&self, attributes: &Attributes<'_>) -> Verdict {
        let asked = (attributes.verb, attributes.name);
        if self.0.contains(&asked) {
            Verdict::allow("")
        } else {
            Verdict::no_opinion("")
        }
    }

    fn rules_for(&self, _user: &UserInfo, _namespace: &str) -> RuleList {
        RuleList::default()
    }
}

fn mirror_pod() -> Value {
    json!({
        "metadata": {
            "name": "mirror", "namespace": "ns",
            "annotations": {"kubernetes.io/config.mirror": "hash"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u-n1", "controller": true}],
        },
        "spec": {"nodeName": "n1", "volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
    })
}

/// The cluster: node n1, a pod on it and one elsewhere, and a volume with a CSI driver.
fn lookup(resource: &'static str, namespace: &str, name: &str) -> Option<Value> {
    let object =
        |uid: &str, spec: Value| json!({"metadata": {"name": name, "uid": uid}, "spec": spec});
    match (resource, namespace, name) {
        ("nodes", "", "n1") => Some(object("u-n1", json!({}))),
        ("pods", "ns", "own") => Some(object(
            "u-own",
            json!({"nodeName": "n1", "serviceAccountName": "sa", "volumes": [
                {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"audience": "vault"}}]}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}},
            ]}),
        )),
        ("pods", "ns", "other") => Some(object("u-other", json!({"nodeName": "n2"}))),
        ("persistentvolumeclaims", "ns", "claim") => Some(object("", json!({"volumeName": "pv"}))),
        ("persistentvolumes", "", "pv") => Some(object("", json!({"csi": {"driver": "driver"}}))),
        ("csidrivers", "", "driver") => Some(object(
            "",
            json!({"tokenRequests": [{"audience": "storage"}]}),
        )),
        ("serviceaccounts", "ns", "sa") => Some(object("u-sa", json!({}))),
        _ => None,
    }
}

/// What node n1 hears when it writes; `None` if it may.
fn node_writes(operation: Operation, path: &str, object: &Value, old: &Value) -> Option<String> {
    let parts: Vec<&str> = path.split(',').collect();
    let [group, resource, subresource, namespace, name] = parts[..] else {
        panic!("five parts: {path}")
    };
    let user = UserInfo::new("system:node:n1", &[NODES_GROUP]);
    let admission = Admission {
        user: &user,
        operation,
        group,
        resource,
        subresource,
        namespace,
        name,
        object,
        old,
    };
    let allow = Allow(&[("request-serviceaccounts-token-audience", "allowed")]);
    let plugin = NodeRestriction {
        lookup: &lookup,
        authorizer: &allow,
    };
    let admin = UserInfo::new("admin", &[]);
    assert_eq!(
        plugin.check(&Admission {
            user: &admin,
            ..admission
        }),
        Ok(()),
        "others pass: {path}"
    );
    plugin
        .check(&admission)
        .err()
        .map(|refusal| refusal.to_string())
}

use Operation::{Create, Delete, Update};

/// A change to a good mirror pod.
type Change = Box<dyn Fn(&mut Value)>;

#[test]
fn mirror_pods_bind_nothing_but_the_node() {
    let create = |change: &dyn Fn(&mut Value)| {
        let mut pod = mirror_pod();
        change(&mut pod);
        node_writes(Create, ",pods,,ns,", &pod, &Value::Null).unwrap_or_default()
    };
    assert_eq!(create(&|_| {}), "");
    let owner = |key: &'static str, value: Value| {
        move |pod: &mut Value| pod["metadata"]["ownerReferences"][0][key] = value.clone()
    };
    let spec = |value: Value| {
        move |pod: &mut Value| {
            pod["spec"] = value.clone();
            pod["spec"]["nodeName"] = json!("n1");
        }
    };
    let changes: Vec<(Change, &str)> = vec![
        (
            Box::new(|pod| pod["metadata"]["annotations"] = json!({})),
            r#"pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods"#,
        ),
        (
            Box::new(|pod| pod["spec"]["nodeName"] = json!("n2")),
            r#"node "n1" can only create pods with spec.nodeName set to itself"#,
        ),
        (
            Box::new(|pod| pod["metadata"]["ownerReferences"] = json!([])),
            r#"node "n1" can only create pods with an owner reference set to itself"#,
        ),
        (
            Box::new(|pod| pod["metadata"]["ownerReferences"] = json!([{}, {}])),
            r#"node "n1" can only create pods with a single owner reference set to itself"#,
        ),
        (
            Box::new(owner("name", json!("n2"))),
            r#"node "n1" can only create pods with an owner reference set to itself"#,
        ),
        (
            Box::new(owner("controller", json!(false))),
            r#"node "n1" can only create pods with a controller owner reference set to itself"#,
        ),
        (
            Box::new(owner("blockOwnerDeletion", json!(true))),
            r#"node "n1" must not set blockOwnerDeletion on an owner reference"#,
        ),
        (
            Box::new(owner("uid", json!("old"))),
            "node n1 UID mismatch: expected old got u-n1",
        ),
        (
            Box::new(spec(json!({"serviceAccountName": "sa"}))),
            r#"node "n1" can not create pods that reference serviceaccounts"#,
        ),
        (
            Box::new(spec(
                json!({"containers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]}),
            )),
            r#"node "n1" can not create pods that reference secrets"#,
        ),
        (
            Box::new(spec(
                json!({"volumes": [{"name": "v", "projected": {"sources": [{"clusterTrustBundle": {}}]}}]}),
            )),
            r#"node "n1" can not create pods that reference clustertrustbundles"#,
        ),
        (
            Box::new(spec(json!({"volumes": [{"name": "v", "new": {}}]}))),
            r#"error checking mirror pod for API references: unknown volume type for volume  "v""#,
        ),
    ];
    for (change, expected) in changes {
        assert_eq!(create(&change), expected);
    }
}

#[test]
fn a_node_writes_its_own_objects_only() {
    let null = Value::Null;
    let pod = |node: &str, labels: Value, status: Value| json!({"metadata": {"labels": labels}, "spec": {"nodeName": node}, "status": status});
    let own = pod("n1", json!({}), json!({}));
    let named = |name: &str| json!({"metadata": {"name": name}});
    let slice = |node: &str| json!({"spec": {"nodeName": node}});
    let claim = |labels: Value, capacity: &str| json!({"metadata": {"labels": labels}, "status": {"capacity": capacity}});
    let modify = r#"node "n1" is not allowed to modify "#;
    for (operation, path, object, old, expected) in [
        (Delete, ",pods,,ns,own", &null, &null, ""),
        (
            Delete,
            ",pods,,ns,other",
            &null,
            &null,
            r#"node "n1" can only delete pods with spec.nodeName set to itself"#,
        ),
        (
            Delete,
            ",pods,,ns,gone",
            &null,
            &null,
            r#"pods "gone" not found"#,
        ),
        (
            Update,
            ",pods,,ns,own",
            &own,
            &own,
            r#"unexpected operation "UPDATE", node "n1" can only create and delete mirror pods"#,
        ),
        (
            Update,
            ",pods,exec,ns,own",
            &own,
            &own,
            r#"unexpected pod subresource "exec", only 'status' and 'eviction' are allowed"#,
        ),
        (
            Update,
            ",pods,status,ns,own",
            &pod("n1", json!({}), json!({"phase": "Running"})),
            &own,
            "",
        ),
        (
            Update,
            ",pods,status,ns,x",
            &own,
            &pod("n2", json!({}), json!({})),
            r#"node "n1" can only update pod status for pods with spec.nodeName set to itself"#,
        ),
        (
            Update,
            ",pods,status,ns,own",
            &pod("n1", json!({"a": "b"}), json!({})),
            &own,
            r#"node "n1" cannot update labels through pod status"#,
        ),
        (
            Update,
            ",pods,status,ns,own",
            &pod(
                "n1",
                json!({}),
                json!({"resourceClaimStatuses": [{"name": "x"}]}),
            ),
            &own,
            r#"node "n1" cannot update resource claim statues"#,
        ),
        (Create, ",pods,eviction,ns,own", &null, &null, ""),
        (
            Create,
            ",pods,eviction,ns,",
            &named("other"),
            &null,
            "node n1 can only evict pods with spec.nodeName set to itself",
        ),
        (
            Create,
            ",pods,eviction,ns,",
            &null,
            &null,
            "could not determine pod from request data",
        ),
        (Create, ",nodes,,,", &named("n1"), &null, ""),
        (
            Create,
            ",nodes,,,",
            &named("n2"),
            &null,
            &format!(r#"{modify}node "n2""#),
        ),
        (
            Update,
            ",nodes,status,,n2",
            &null,
            &null,
            &format!(r#"{modify}node "n2""#),
        ),
        (
            Update,
            ",persistentvolumeclaims,status,ns,c",
            &claim(json!({}), "2Gi"),
            &claim(json!({}), "1Gi"),
            "",
        ),
        (
            Update,
            ",persistentvolumeclaims,status,ns,c",
            &claim(json!({"a": "b"}), "1Gi"),
            &claim(json!({}), "1Gi"),
            r#"node "n1" is not allowed to update fields other than status.quantity and status.conditions"#,
        ),
        (
            Update,
            ",persistentvolumeclaims,,ns,c",
            &null,
            &null,
            "may only update PVC status",
        ),
        (
            Create,
            "coordination.k8s.io,leases,,kube-node-lease,",
            &named("n1"),
            &null,
            "",
        ),
        (
            Create,
            "coordination.k8s.io,leases,,kube-node-lease,",
            &named("n2"),
            &null,
            "can only access node lease with the same name as the requesting node",
        ),
        (
            Update,
            "coordination.k8s.io,leases,,ns,n1",
            &null,
            &null,
            r#"can only access leases in the "kube-node-lease" system namespace"#,
        ),
        (
            Create,
            "storage.k8s.io,csinodes,,,",
            &named("n2"),
            &null,
            "can only access CSINode with the same name as the requesting node",
        ),
        (Delete, "storage.k8s.io,csinodes,,,n1", &null, &null, ""),
        (
            Create,
            "resource.k8s.io,resourceslices,,,",
            &slice("n1"),
            &null,
            "",
        ),
        (
            Create,
            "resource.k8s.io,resourceslices,,,",
            &slice("n2"),
            &null,
            "can only create ResourceSlice with the same NodeName as the requesting node",
        ),
        (
            Delete,
            "resource.k8s.io,resourceslices,,,x",
            &null,
            &slice("n2"),
            "can only delete ResourceSlice with the same NodeName as the requesting node",
        ),
        (Create, ",events,,ns,", &null, &null, ""),
    ] {
        assert_eq!(
            node_writes(operation, path, object, old).unwrap_or_default(),
            expected,
            "{operation:?} {path}"
        );
    }
}

#[test]
fn a_node_keeps_its_taints_owners_and_foreign_labels() {
    let node = |metadata: Value, spec: Value| {
        let mut node = json!({"metadata": {"name": "n1"}, "spec": spec});
        metadata
            .as_object()
            .expect("an object")
            .iter()
            .for_each(|(key, value)| node["metadata"][key] = value.clone());
        node
    };
    let labels = |labels: Value| node(json!({"labels": labels}), json!({}));
    let old = node(
        json!({"labels": {"x.k8s.io/y": "1", "app": "a"}}),
        json!({"taints": [{"key": "t"}]}),
    );
    let update =
        |new: &Value, old: &Value| node_writes(Update, ",nodes,,,n1", new, old).unwrap_or_default();
    let create =
        |new: &Value| node_writes(Create, ",nodes,,,", new, &Value::Null).unwrap_or_default();
    assert_eq!(update(&old, &old), "");
    let mut changed = old.clone();
    changed["spec"]["taints"] = json!([]);
    assert_eq!(
        update(&changed, &old),
        r#"node "n1" is not allowed to modify taints"#
    );
    changed = old.clone();
    changed["metadata"]["ownerReferences"] = json!([{"name": "x"}]);
    assert_eq!(
        update(&changed, &old),
        r#"node "n1" is not allowed to modify ownerReferences"#
    );
    changed = old.clone();
    changed["spec"]["configSource"] = json!({"configMap": {}});
    assert_eq!(
        update(&changed, &old),
        r#"node "n1" is not allowed to update configSource to a new non-nil configSource"#
    );
    assert_eq!(
        create(&node(json!({}), json!({"configSource": {"configMap": {}}}))),
        r#"node "n1" is not allowed to create pods with a non-nil configSource"#
    );
    let (none, foreign) = (labels(json!({})), labels(json!({"x.k8s.io/y": "1"})));
    assert_eq!(
        update(&none, &foreign),
        "is not allowed to modify labels: x.k8s.io/y",
        "removing counts too"
    );
    for (key, allowed) in [
        ("kubernetes.io/hostname", true),
        ("topology.kubernetes.io/zone", true),
        ("kubelet.kubernetes.io/x", true),
        ("sub.node.kubernetes.io/x", true),
        ("beta.kubernetes.io/arch", true),
        ("example.com/x", true),
        ("plain", true),
        ("node-role.kubernetes.io/master", false),
        ("kubernetes.io/x", false),
        ("k8s.io/x", false),
        ("node-restriction.kubernetes.io/x", false),
        ("sub.node-restriction.kubernetes.io/x", false),
        ("notkubernetes.io/x", true),
    ] {
        let message = create(&labels(json!({key: "v"})));
        let refusal = format!(r#"node "n1" is not allowed to set the following labels: {key}"#);
        assert_eq!(
            message,
            if allowed { String::new() } else { refusal },
            "{key}"
        );
    }
}

#[test]
fn nodes_get_tokens_for_their_pods_and_audiences() {
    let ask = |pod: &str, uid: &str, audiences: Value, account: &str| {
        let request = json!({"spec": {
            "audiences": audiences,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid},
        }});
        let path = format!(",serviceaccounts,token,ns,{account}");
        node_writes(Create, &path, &request, &Value::Null).unwrap_or_default()
    };
    assert_eq!(ask("own", "u-own", json!(["vault"]), "sa"), "");
    assert_eq!(
        ask("own", "u-own", json!(["storage"]), "sa"),
        "",
        "through the claim's CSI driver"
    );
    assert_eq!(
        ask("own", "u-own", json!(["other"]), "allowed"),
        "",
        "by permission"
    );
    assert_eq!(
        ask("own", "u-own", json!(["other"]), "sa"),
        r#"audience "other" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience"#
    );
    assert_eq!(
        ask("own", "u-own", json!(["a", "b"]), "sa"),
        "node may only request 0 or 1 audiences"
    );
    assert_eq!(
        ask("other", "u-other", json!([]), "sa"),
        "node requested token bound to a pod scheduled on a different node"
    );
    assert_eq!(
        ask("own", "", json!([]), "sa"),
        "node requested token with a pod binding without a uid"
    );
    assert!(
        ask("own", "old", json!([]), "sa")
            .starts_with("the UID in the bound object reference (old)")
    );
    let unbound = node_writes(
        Create,
        ",serviceaccounts,token,ns,sa",
        &json!({"spec": {}}),
        &Value::Null,
    );
    assert_eq!(
        unbound.as_deref(),
        Some("node requested token not bound to a pod")
    );
}

#[test]
fn pod_certificates_match_what_runs() {
    let ask = |change: (&str, &str)| {
        let mut spec = json!({
            "nodeName": "n1", "nodeUID": "u-n1", "podName": "own", "podUID": "u-own",
            "serviceAccountName": "sa", "serviceAccountUID": "u-sa",
        });
        spec[change.0] = json!(change.1);
        let path = "certificates.k8s.io,podcertificaterequests,,ns,";
        node_writes(Create, path, &json!({"spec": spec}), &Value::Null).unwrap_or_default()
    };
    for (change, expected) in [
        (("nodeName", "n1"), ""),
        (
            ("nodeName", "n2"),
            r#"PodCertificateRequest.Spec.NodeName="n2", which is not the requesting node "n1""#,
        ),
        (
            ("nodeUID", "x"),
            r#"PodCertificateRequest for pod "ns/own" names node UID "x", inconsistent with the running node ("u-n1")"#,
        ),
        (
            ("podName", "gone"),
            r#"while retrieving pod "ns/gone" named in the PodCertificateRequest: pods "gone" not found"#,
        ),
        (
            ("podUID", "x"),
            r#"PodCertificateRequest for pod "ns/own" contains pod UID ("x") which differs from running pod "u-own""#,
        ),
        (
            ("serviceAccountName", "x"),
            r#"PodCertificateRequest for pod "ns/own" contains serviceAccountName ("x") that differs from running pod ("sa")"#,
        ),
        (
            ("serviceAccountUID", "x"),
            r#"PodCertificateRequest for pod "ns/own" names service account UID "x", which differs from the running service account ("u-sa")"#,
        ),
    ] {
        assert_eq!(ask(change), expected);
    }
}
