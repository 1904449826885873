//! What kubelets may write: the check that makes a stolen kubelet credential worth one node, not the cluster.

use std::collections::BTreeSet;

use serde_json::Value;

use super::certificate::parse_csr;
use super::node_certificate::check_certificate;
use super::node_token::check_token;
use super::request::{Admission, Operation, Refusal, forbid, text};
use crate::authorizer::Authorizer;
use crate::node::{has_api_reference, is_mirror_pod, list};
use crate::text::quoted;

const LEASE_NAMESPACE: &str = "kube-node-lease";
const RESTRICTED_LABELS: &str = "node-restriction.kubernetes.io";
/// Labels under kubernetes.io and k8s.io that a kubelet may set on its node.
const KUBELET_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];
const KUBELET_LABEL_NAMESPACES: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
const KUBELET_SIGNERS: [&str; 2] = [
    "kubernetes.io/kubelet-serving",
    "kubernetes.io/kube-apiserver-client-kubelet",
];

/// Checks writes of kubelets; writes of others pass.
#[expect(
    missing_debug_implementations,
    reason = "borrowed functions; lives for one check"
)]
#[derive(Clone, Copy)]
pub struct NodeRestriction<'a> {
    /// Finds an object of the watch caches by plural resource, namespace and name: pods, nodes,
    /// serviceaccounts, persistentvolumeclaims, persistentvolumes and csidrivers.
    pub lookup: &'a dyn Fn(&'static str, &str, &str) -> Option<Value>,
    /// Decides whether a node may ask for tokens for audiences that a pod does not name.
    pub authorizer: &'a dyn Authorizer,
}

impl NodeRestriction<'_> {
    /// Checks one write.
    ///
    /// # Errors
    /// The refusal.
    pub fn check(&self, admission: &Admission<'_>) -> Result<(), Refusal> {
        let Some(node) = admission.user.node_name() else {
            return Ok(());
        };
        if admission.operation == Operation::Connect {
            return Ok(());
        }
        if node.is_empty() {
            let user = quoted(&admission.user.username);
            return forbid(format!("could not determine node from user {user}"));
        }
        match (admission.group, admission.resource, admission.subresource) {
            ("", "pods", "") => self.pod(node, admission),
            ("", "pods", "status") => pod_status(node, admission),
            ("", "pods", "eviction") => self.eviction(node, admission),
            ("", "pods", subresource) => forbid(format!(
                "unexpected pod subresource {}, only 'status' and 'eviction' are allowed",
                quoted(subresource)
            )),
            ("", "nodes", _) => own_node(node, admission),
            ("", "persistentvolumeclaims", "status") => claim_status(node, admission),
            ("", "persistentvolumeclaims", _) => forbid("may only update PVC status"),
            ("", "serviceaccounts", "token") if admission.operation == Operation::Create => {
                check_token(self, node, admission)
            }
            ("certificates.k8s.io", "podcertificaterequests", _) => {
                check_certificate(self, node, admission)
            }
            ("coordination.k8s.io", "leases", _) => lease(node, admission),
            ("storage.k8s.io", "csinodes", _) if admission.object_name() != node => {
                forbid("can only access CSINode with the same name as the requesting node")
            }
            ("resource.k8s.io", "resourceslices", _) => resource_slice(node, admission),
            ("certificates.k8s.io", "certificatesigningrequests", "") => {
                kubelet_csr(node, admission)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn find(
        &self,
        resource: &'static str,
        namespace: &str,
        name: &str,
    ) -> Result<Value, Refusal> {
        let missing = || Refusal::NotFound {
            resource,
            name: name.to_owned(),
        };
        (self.lookup)(resource, namespace, name).ok_or_else(missing)
    }

    fn pod(&self, node: &str, admission: &Admission<'_>) -> Result<(), Refusal> {
        match admission.operation {
            Operation::Create => self.mirror_pod(node, admission.object),
            Operation::Delete => {
                let pod = self.find("pods", admission.namespace, admission.name)?;
                if text(&pod, "/spec/nodeName") == node {
                    return Ok(());
                }
                forbid(format!(
                    "node {} can only delete pods with spec.nodeName set to itself",
                    quoted(node)
                ))
            }
            operation => forbid(format!(
                "unexpected operation {}, node {} can only create and delete mirror pods",
                quoted(operation.as_str()),
                quoted(node)
            )),
        }
    }

    fn mirror_pod(&self, node: &str, pod: &Value) -> Result<(), Refusal> {
        let name = quoted(node);
        if !is_mirror_pod(pod) {
            return forbid(format!(
                "pod does not have \"kubernetes.io/config.mirror\" annotation, node {name} can only create mirror pods"
            ));
        }
        if text(pod, "/spec/nodeName") != node {
            return forbid(format!(
                "node {name} can only create pods with spec.nodeName set to itself"
            ));
        }
        let owners: Vec<&Value> = list(&pod["metadata"], "ownerReferences").collect();
        let only = |what: &str| forbid(format!("node {name} can only create pods with {what}"));
        let owner = match owners[..] {
            [] => return only("an owner reference set to itself"),
            [owner] => owner,
            _ => return only("a single owner reference set to itself"),
        };
        let is = |key: &str, value: &str| owner.get(key).and_then(Value::as_str) == Some(value);
        if !is("apiVersion", "v1") || !is("kind", "Node") || !is("name", node) {
            return only("an owner reference set to itself");
        }
        if owner.get("controller").and_then(Value::as_bool) != Some(true) {
            return only("a controller owner reference set to itself");
        }
        if owner.get("blockOwnerDeletion").and_then(Value::as_bool) == Some(true) {
            return forbid(format!(
                "node {name} must not set blockOwnerDeletion on an owner reference"
            ));
        }
        let stored = self.find("nodes", "", node)?;
        let (claimed, uid) = (text(owner, "/uid"), text(&stored, "/metadata/uid"));
        if claimed != uid {
            return forbid(format!(
                "node {node} UID mismatch: expected {claimed} got {uid}"
            ));
        }
        match has_api_reference(pod) {
            Ok(None) => Ok(()),
            Ok(Some(resource)) => forbid(format!(
                "node {name} can not create pods that reference {resource}"
            )),
            Err(error) => forbid(format!(
                "error checking mirror pod for API references: {error}"
            )),
        }
    }

    fn eviction(&self, node: &str, admission: &Admission<'_>) -> Result<(), Refusal> {
        if admission.operation != Operation::Create {
            return forbid(format!(
                "unexpected operation {}",
                admission.operation.as_str()
            ));
        }
        let name = match admission.name {
            "" => text(admission.object, "/metadata/name"),
            name => name,
        };
        if name.is_empty() {
            return forbid("could not determine pod from request data");
        }
        let pod = self.find("pods", admission.namespace, name)?;
        if text(&pod, "/spec/nodeName") == node {
            return Ok(());
        }
        forbid(format!(
            "node {node} can only evict pods with spec.nodeName set to itself"
        ))
    }
}

fn unexpected(admission: &Admission<'_>) -> Result<(), Refusal> {
    forbid(format!(
        "unexpected operation {}",
        quoted(admission.operation.as_str())
    ))
}

/// Empty and missing are the same.
fn part<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    value.pointer(pointer).filter(|part| match part {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    })
}

fn pod_status(node: &str, admission: &Admission<'_>) -> Result<(), Refusal> {
    if admission.operation != Operation::Update {
        return unexpected(admission);
    }
    let name = quoted(node);
    let (new, old) = (admission.object, admission.old);
    if text(old, "/spec/nodeName") != node {
        return forbid(format!(
            "node {name} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    let differs = |pointer| part(new, pointer) != part(old, pointer);
    if differs("/metadata/labels") {
        return forbid(format!(
            "node {name} cannot update labels through pod status"
        ));
    }
    if differs("/status/resourceClaimStatuses") {
        return forbid(format!("node {name} cannot update resource claim statues"));
    }
    if differs("/status/extendedResourceClaimStatus") {
        return forbid(format!(
            "node {name} cannot update extended resource claim status"
        ));
    }
    Ok(())
}

fn own_node(node: &str, admission: &Admission<'_>) -> Result<(), Refusal> {
    let (name, requested) = (quoted(node), admission.object_name());
    if requested != node {
        return forbid(format!(
            "node {name} is not allowed to modify node {}",
            quoted(requested)
        ));
    }
    let (new, old) = (admission.object, admission.old);
    let differs = |pointer| part(new, pointer) != part(old, pointer);
    let labels = forbidden_labels(new, old).join(", ");
    match admission.operation {
        Operation::Create if part(new, "/spec/configSource").is_some() => forbid(format!(
            "node {name} is not allowed to create pods with a non-nil configSource"
        )),
        Operation::Create if !labels.is_empty() => forbid(format!(
            "node {name} is not allowed to set the following labels: {labels}"
        )),
        Operation::Update
            if part(new, "/spec/configSource").is_some() && differs("/spec/configSource") =>
        {
            forbid(format!(
                "node {name} is not allowed to update configSource to a new non-nil configSource"
            ))
        }
        Operation::Update if differs("/spec/taints") => {
            forbid(format!("node {name} is not allowed to modify taints"))
        }
        Operation::Update if differs("/metadata/ownerReferences") => forbid(format!(
            "node {name} is not allowed to modify ownerReferences"
        )),
        Operation::Update if !labels.is_empty() => {
            forbid(format!("is not allowed to modify labels: {labels}"))
        }
        _ => Ok(()),
    }
}

/// The labels that are added, changed or removed and that a kubelet must leave alone.
fn forbidden_labels<'v>(new: &'v Value, old: &'v Value) -> Vec<&'v str> {
    let labels = |value: &'v Value| value.pointer("/metadata/labels").and_then(Value::as_object);
    let (new, old) = (labels(new), labels(old));
    let keys: BTreeSet<&str> = new
        .into_iter()
        .chain(old)
        .flat_map(|all| all.keys().map(String::as_str))
        .collect();
    let changed = keys.into_iter().filter(|key| {
        let value =
            |all: Option<&'v serde_json::Map<String, Value>>| all.and_then(|all| all.get(*key));
        value(new) != value(old)
    });
    changed.filter(|key| is_forbidden_label(key)).collect()
}

fn is_forbidden_label(key: &str) -> bool {
    let Some((namespace, _)) = key.split_once('/') else {
        return false;
    };
    let within = |domain: &str| {
        namespace == domain
            || namespace
                .strip_suffix(domain)
                .is_some_and(|rest| rest.ends_with('.'))
    };
    let kubelets =
        KUBELET_LABELS.contains(&key) || KUBELET_LABEL_NAMESPACES.into_iter().any(within);
    within(RESTRICTED_LABELS) || ((within("kubernetes.io") || within("k8s.io")) && !kubelets)
}

fn claim_status(node: &str, admission: &Admission<'_>) -> Result<(), Refusal> {
    if admission.operation != Operation::Update {
        return unexpected(admission);
    }
    let fixed = |claim: &Value| {
        let mut claim = claim.clone();
        for (part, keys) in [
            ("metadata", &["resourceVersion", "managedFields"][..]),
            (
                "status",
                &[
                    "capacity",
                    "conditions",
                    "allocatedResourceStatuses",
                    "allocatedResources",
                ][..],
            ),
        ] {
            if let Some(fields) = claim.get_mut(part).and_then(Value::as_object_mut) {
                keys.iter().for_each(|key| {
                    fields.remove(*key);
                });
            }
        }
        claim
    };
    if fixed(admission.object) == fixed(admission.old) {
        return Ok(());
    }
    forbid(format!(
        "node {} is not allowed to update fields other than status.quantity and status.conditions",
        quoted(node)
    ))
}

fn lease(node: &str, admission: &Admission<'_>) -> Result<(), Refusal> {
    if admission.namespace != LEASE_NAMESPACE {
        let namespace = quoted(LEASE_NAMESPACE);
        return forbid(format!(
            "can only access leases in the {namespace} system namespace"
        ));
    }
    if admission.object_name() != node {
        return forbid("can only access node lease with the same name as the requesting node");
    }
    Ok(())
}

fn resource_slice(node: &str, admission: &Admission<'_>) -> Result<(), Refusal> {
    let (object, verb) = match admission.operation {
        Operation::Create => (admission.object, "create"),
        Operation::Delete => (admission.old, "delete"),
        Operation::Update | Operation::Connect => return Ok(()),
    };
    if text(object, "/spec/nodeName") == node {
        return Ok(());
    }
    forbid(format!(
        "can only {verb} ResourceSlice with the same NodeName as the requesting node"
    ))
}

fn kubelet_csr(node: &str, admission: &Admission<'_>) -> Result<(), Refusal> {
    let signer = text(admission.object, "/spec/signerName");
    if admission.operation != Operation::Create || !KUBELET_SIGNERS.contains(&signer) {
        return Ok(());
    }
    match parse_csr(text(admission.object, "/spec/request")) {
        Err(error) => forbid(format!("unable to parse csr: {error}")),
        Ok(subject) if subject.username != format!("system:node:{node}") => forbid(format!(
            "can only create a node CSR with CN=system:node:{node}"
        )),
        Ok(_) => Ok(()),
    }
}
