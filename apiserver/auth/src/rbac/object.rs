//! Roles and bindings as the index needs them, read from stored objects.

use std::sync::Arc;

use serde_json::Value;

use super::rule::PolicyRule;
use crate::text::quoted;
use crate::user::{UserInfo, service_account_username};

/// Which of the two kinds of role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RoleKind {
    /// A `ClusterRole`.
    ClusterRole,
    /// A `Role`.
    Role,
}

impl RoleKind {
    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            RoleKind::ClusterRole => "ClusterRole",
            RoleKind::Role => "Role",
        }
    }

    /// The plural resource.
    pub fn resource(self) -> &'static str {
        match self {
            RoleKind::ClusterRole => "clusterroles",
            RoleKind::Role => "roles",
        }
    }
}

/// Which of the two kinds of binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BindingKind {
    /// A `ClusterRoleBinding`.
    ClusterRoleBinding,
    /// A `RoleBinding`.
    RoleBinding,
}

/// A role's rules under its namespace (empty for a cluster role) and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The namespace; empty for a cluster role.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The rules, shared with the compiled form.
    pub rules: Arc<Vec<PolicyRule>>,
}

impl Role {
    /// Reads a stored `Role` or `ClusterRole`.
    pub fn from_value(value: &Value) -> Role {
        let rules = value
            .get("rules")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        Role {
            namespace: meta(value, "namespace"),
            name: meta(value, "name"),
            rules: Arc::new(rules.iter().map(PolicyRule::from_value).collect()),
        }
    }
}

/// What a binding gives. The group is not kept: validation allows one only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRef {
    /// `ClusterRole` or `Role`; anything else is kept as it is and resolves to an error.
    pub kind: String,
    /// The role's name.
    pub name: String,
}

impl RoleRef {
    /// Reads the `roleRef` of a binding.
    pub fn from_value(value: &Value) -> RoleRef {
        RoleRef {
            kind: text(value, "kind"),
            name: text(value, "name"),
        }
    }

    /// The kind, if it is one of the two.
    pub fn role_kind(&self) -> Option<RoleKind> {
        match self.kind.as_str() {
            "ClusterRole" => Some(RoleKind::ClusterRole),
            "Role" => Some(RoleKind::Role),
            _ => None,
        }
    }
}

/// Whom a subject names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubjectKind {
    /// A user by name.
    User,
    /// Everyone in a group.
    Group,
    /// A service account.
    ServiceAccount,
    /// Something that matches nobody.
    Unknown,
}

/// One subject of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Whom it names.
    pub kind: SubjectKind,
    /// The name.
    pub name: String,
    /// The namespace of a service account; empty means the binding's own.
    pub namespace: String,
}

impl Subject {
    /// Reads one subject of a binding.
    pub fn from_value(value: &Value) -> Subject {
        let kind = match value.get("kind").and_then(Value::as_str) {
            Some("User") => SubjectKind::User,
            Some("Group") => SubjectKind::Group,
            Some("ServiceAccount") => SubjectKind::ServiceAccount,
            _ => SubjectKind::Unknown,
        };
        Subject {
            kind,
            name: text(value, "name"),
            namespace: text(value, "namespace"),
        }
    }

    /// True if the subject of a binding in this namespace (empty: cluster-wide) means the user.
    pub fn applies_to(&self, user: &UserInfo, binding_namespace: &str) -> bool {
        match self.kind {
            SubjectKind::User => user.username == self.name,
            SubjectKind::Group => user.in_group(&self.name),
            SubjectKind::ServiceAccount => self
                .username(binding_namespace)
                .is_some_and(|name| name == user.username),
            SubjectKind::Unknown => false,
        }
    }

    /// The user name that a user or service account subject means.
    pub(crate) fn username(&self, binding_namespace: &str) -> Option<String> {
        match self.kind {
            SubjectKind::User => Some(self.name.clone()),
            SubjectKind::ServiceAccount => {
                let namespace = if self.namespace.is_empty() {
                    binding_namespace
                } else {
                    self.namespace.as_str()
                };
                (!namespace.is_empty()).then(|| service_account_username(namespace, &self.name))
            }
            SubjectKind::Group | SubjectKind::Unknown => None,
        }
    }

    /// `ServiceAccount "name/namespace"`, `Group "name"`, …
    fn describe(&self, binding_namespace: &str) -> String {
        match self.kind {
            SubjectKind::User => format!("User {}", quoted(&self.name)),
            SubjectKind::Group => format!("Group {}", quoted(&self.name)),
            SubjectKind::ServiceAccount => {
                let namespace = if self.namespace.is_empty() {
                    binding_namespace
                } else {
                    self.namespace.as_str()
                };
                format!(
                    "ServiceAccount {}",
                    quoted(&format!("{}/{namespace}", self.name))
                )
            }
            SubjectKind::Unknown => String::new(),
        }
    }
}

/// A binding of a role to subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The namespace; empty for a cluster role binding.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// What is given.
    pub role_ref: RoleRef,
    /// To whom.
    pub subjects: Vec<Subject>,
}

impl Binding {
    /// Reads a stored `RoleBinding` or `ClusterRoleBinding`.
    pub fn from_value(value: &Value) -> Binding {
        let subjects = value
            .get("subjects")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        Binding {
            namespace: meta(value, "namespace"),
            name: meta(value, "name"),
            role_ref: value
                .get("roleRef")
                .map(RoleRef::from_value)
                .unwrap_or_else(|| RoleRef {
                    kind: String::new(),
                    name: String::new(),
                }),
            subjects: subjects.iter().map(Subject::from_value).collect(),
        }
    }

    /// The first subject that means the user.
    pub fn subject_for(&self, user: &UserInfo) -> Option<&Subject> {
        self.subjects
            .iter()
            .find(|subject| subject.applies_to(user, &self.namespace))
    }

    /// The binding as a reason names it.
    pub fn describe(&self, subject: &Subject) -> String {
        let (kind, name) = match self.namespace.as_str() {
            "" => ("ClusterRoleBinding", self.name.clone()),
            namespace => ("RoleBinding", format!("{}/{namespace}", self.name)),
        };
        format!(
            "{kind} {} of {} {} to {}",
            quoted(&name),
            self.role_ref.kind,
            quoted(&self.role_ref.name),
            subject.describe(&self.namespace)
        )
    }
}

pub(crate) fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

pub(crate) fn meta(value: &Value, key: &str) -> String {
    value
        .get("metadata")
        .map(|metadata| text(metadata, key))
        .unwrap_or_default()
}
