//! The authorizer for kubelets.

use parking_lot::RwLock;

use super::graph::{NodeGraph, ObjectKind};
use crate::attributes::{Attributes, Verdict};
use crate::authorizer::{Authorizer, RuleList};
use crate::rbac::PolicyRule;
use crate::rbac::bootstrap::{Gate, node_rules};
use crate::text::quoted;
use crate::user::UserInfo;

const LEASE_NAMESPACE: &str = "kube-node-lease";
const RESOURCE_GROUP: &str = "resource.k8s.io";
const CERTIFICATES_GROUP: &str = "certificates.k8s.io";

/// Decides about requests of kubelets: their own node, lease and CSINode, their pods, and what those pods use.
#[derive(Debug)]
pub struct NodeAuthorizer {
    graph: RwLock<NodeGraph>,
    rules: Vec<PolicyRule>,
    pod_certificates: bool,
}

impl NodeAuthorizer {
    /// With an empty graph and the rules of `system:node` for these gates.
    pub fn new(gates: &[Gate]) -> NodeAuthorizer {
        NodeAuthorizer {
            graph: RwLock::default(),
            rules: node_rules(gates),
            pod_certificates: gates.contains(&Gate::PodCertificateRequests),
        }
    }

    /// Changes the graph, as the watch caches tell.
    pub fn update(&self, change: impl FnOnce(&mut NodeGraph)) {
        change(&mut self.graph.write());
    }

    fn decide(&self, node: &str, attributes: &Attributes<'_>) -> Verdict {
        let ask = Ask {
            authorizer: self,
            node,
            attributes,
        };
        if attributes.resource_request {
            match (attributes.group, attributes.resource) {
                ("", "secrets") => return ask.read_namespaced(ObjectKind::Secret),
                ("", "configmaps") => return ask.read_namespaced(ObjectKind::ConfigMap),
                ("", "persistentvolumeclaims") if attributes.subresource == "status" => {
                    return ask.update_status(ObjectKind::PersistentVolumeClaim);
                }
                ("", "persistentvolumeclaims") => {
                    return ask.get(ObjectKind::PersistentVolumeClaim);
                }
                ("", "persistentvolumes") => return ask.get(ObjectKind::PersistentVolume),
                (RESOURCE_GROUP, "resourceclaims") => return ask.get(ObjectKind::ResourceClaim),
                ("storage.k8s.io", "volumeattachments") => {
                    return ask.get(ObjectKind::VolumeAttachment);
                }
                ("", "serviceaccounts") => return ask.service_account(),
                ("coordination.k8s.io", "leases") => return ask.lease(),
                ("storage.k8s.io", "csinodes") => return ask.csi_node(),
                (RESOURCE_GROUP, "resourceslices") => return ask.resource_slice(),
                ("", "nodes") => return ask.own_node(),
                ("", "pods") => return ask.pod(),
                (CERTIFICATES_GROUP, "podcertificaterequests") => return ask.pod_certificate(),
                _ => {}
            }
        }
        let allowed = self.rules.iter().any(|rule| rule.allows(attributes));
        if allowed { Verdict::allow("") } else { no("") }
    }
}

impl Authorizer for NodeAuthorizer {
    fn authorize(&self, attributes: &Attributes<'_>) -> Verdict {
        match attributes.user.node_name() {
            None => no(""),
            Some("") => no(format!(
                "unknown node for user {}",
                quoted(&attributes.user.username)
            )),
            Some(node) => self.decide(node, attributes),
        }
    }

    fn rules_for(&self, user: &UserInfo, _namespace: &str) -> RuleList {
        if user.node_name().is_none() {
            return RuleList::default();
        }
        let error = "node authorizer does not support user rule resolution".to_owned();
        RuleList {
            rules: Vec::new(),
            incomplete: true,
            errors: vec![error],
        }
    }
}

fn no(reason: impl Into<String>) -> Verdict {
    Verdict::no_opinion(reason)
}

fn yes() -> Verdict {
    Verdict::allow("")
}

/// One request of one node.
struct Ask<'a> {
    authorizer: &'a NodeAuthorizer,
    node: &'a str,
    attributes: &'a Attributes<'a>,
}

impl Ask<'_> {
    fn related(&self, kind: ObjectKind) -> Verdict {
        let Attributes {
            namespace, name, ..
        } = *self.attributes;
        if name.is_empty() {
            return no("No Object name found");
        }
        if self
            .authorizer
            .graph
            .read()
            .reaches(self.node, kind, namespace, name)
        {
            return yes();
        }
        no(format!(
            "no relationship found between node '{}' and this object",
            self.node
        ))
    }

    fn read_namespaced(&self, kind: ObjectKind) -> Verdict {
        let attributes = self.attributes;
        if !matches!(attributes.verb, "get" | "list" | "watch") {
            return no("can only read resources of this type");
        }
        if !attributes.subresource.is_empty() {
            return no("cannot read subresource");
        }
        if attributes.namespace.is_empty() {
            return no("can only read namespaced object of this type");
        }
        self.related(kind)
    }

    fn get(&self, kind: ObjectKind) -> Verdict {
        if self.attributes.verb != "get" {
            return no("can only get individual resources of this type");
        }
        if !self.attributes.subresource.is_empty() {
            return no("cannot get subresource");
        }
        self.related(kind)
    }

    fn update_status(&self, kind: ObjectKind) -> Verdict {
        if !matches!(self.attributes.verb, "update" | "patch") {
            return no("can only get/update/patch this type");
        }
        self.related(kind)
    }

    fn service_account(&self) -> Verdict {
        let Attributes {
            verb,
            subresource,
            name,
            ..
        } = *self.attributes;
        if verb == "get" && subresource.is_empty() {
            return self.read_namespaced(ObjectKind::ServiceAccount);
        }
        if verb != "create" || name.is_empty() {
            return no("can only create tokens for individual service accounts");
        }
        if subresource != "token" {
            return no("can only create token subresource of serviceaccount");
        }
        self.related(ObjectKind::ServiceAccount)
    }

    /// Names are not known on create; admission checks them there.
    fn is_other_than_own(&self) -> bool {
        self.attributes.verb != "create" && self.attributes.name != self.node
    }

    fn lease(&self) -> Verdict {
        if !matches!(
            self.attributes.verb,
            "get" | "create" | "update" | "patch" | "delete"
        ) {
            return no("can only get, create, update, patch, or delete a node lease");
        }
        if self.attributes.namespace != LEASE_NAMESPACE {
            return no(format!(
                "can only access leases in the {} system namespace",
                quoted(LEASE_NAMESPACE)
            ));
        }
        if self.is_other_than_own() {
            return no("can only access node lease with the same name as the requesting node");
        }
        yes()
    }

    fn csi_node(&self) -> Verdict {
        if !matches!(
            self.attributes.verb,
            "get" | "create" | "update" | "patch" | "delete"
        ) {
            return no("can only get, create, update, patch, or delete a CSINode");
        }
        if !self.attributes.subresource.is_empty() {
            return no("cannot authorize CSINode subresources");
        }
        if self.is_other_than_own() {
            return no("can only access CSINode with the same name as the requesting node");
        }
        yes()
    }

    fn resource_slice(&self) -> Verdict {
        if !self.attributes.subresource.is_empty() {
            return no("cannot authorize ResourceSlice subresources");
        }
        match self.attributes.verb {
            "create" => yes(),
            "get" | "update" | "patch" | "delete" => self.related(ObjectKind::ResourceSlice),
            "watch" | "list" | "deletecollection"
                if self.attributes.selects("spec.nodeName", self.node) =>
            {
                yes()
            }
            "watch" | "list" | "deletecollection" => no(
                "can only list/watch/deletecollection resourceslices with nodeName field selector",
            ),
            _ => no(
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, \
                 patch, delete, deletecollection",
            ),
        }
    }

    fn own_node(&self) -> Verdict {
        let (node, name) = (self.node, self.attributes.name);
        match (self.attributes.subresource, self.attributes.verb) {
            // Which node is written, and what of it, is for admission to check.
            ("", "create" | "update" | "patch") | ("status", "update" | "patch") => yes(),
            ("", "get" | "list" | "watch") if name == node => yes(),
            ("", "get" | "list" | "watch") if name.is_empty() => no(format!(
                "node '{node}' cannot read all nodes, only its own Node object"
            )),
            ("", "get" | "list" | "watch") => no(format!(
                "node '{node}' cannot read '{name}', only its own Node object"
            )),
            _ => no(""),
        }
    }

    fn pod(&self) -> Verdict {
        match (self.attributes.subresource, self.attributes.verb) {
            ("", "get") => self.get(ObjectKind::Pod),
            ("", "list" | "watch") if self.attributes.selects("spec.nodeName", self.node) => yes(),
            ("", "list" | "watch") if !self.attributes.name.is_empty() => {
                self.related(ObjectKind::Pod)
            }
            ("", "list" | "watch") => {
                no("can only list/watch pods with spec.nodeName field selector")
            }
            // Mirror pods, status and eviction: admission checks that the pod is the node's.
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => {
                yes()
            }
            _ => no(""),
        }
    }

    fn pod_certificate(&self) -> Verdict {
        if !self.authorizer.pod_certificates {
            return no("");
        }
        if !self.attributes.subresource.is_empty() {
            return no("nodes may not access the status subresource of PodCertificateRequests");
        }
        match self.attributes.verb {
            "create" => yes(),
            "get" => self.related(ObjectKind::PodCertificateRequest),
            "list" | "watch" if self.attributes.selects("spec.nodeName", self.node) => yes(),
            "list" | "watch" => {
                no("can only list/watch podcertificaterequests with nodeName field selector")
            }
            verb => no(format!("nodes may not {verb} podcertificaterequests")),
        }
    }
}
