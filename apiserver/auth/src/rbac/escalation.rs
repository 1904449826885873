//! Nobody may grant more than they hold: checks before roles and bindings are written.

use std::collections::BTreeSet;

use serde_json::Value;

use super::authorizer::RbacAuthorizer;
use super::cover::{compact, covers};
use super::object::{RoleKind, RoleRef, meta};
use super::rule::PolicyRule;
use crate::attributes::Attributes;
use crate::authorizer::Authorizer;
use crate::text::{quoted, quoted_list};
use crate::user::{MASTERS_GROUP, UserInfo};

/// Why a role or binding may not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Escalation {
    /// 403 about the object that was to be written.
    #[error("{0}")]
    Forbidden(String),
    /// 404: the binding's role does not exist.
    #[error("{resource}.rbac.authorization.k8s.io {name:?} not found")]
    RoleNotFound {
        /// `clusterroles` or `roles`.
        resource: &'static str,
        /// The missing role.
        name: String,
    },
}

/// Checks what one user may grant.
#[expect(
    missing_debug_implementations,
    reason = "borrows a dyn Authorizer; lives for one check"
)]
pub struct GrantCheck<'a> {
    /// Who writes.
    pub user: &'a UserInfo,
    /// Knows the rules the user holds.
    pub rbac: &'a RbacAuthorizer,
    /// Decides about the verbs `escalate` and `bind`.
    pub authorizer: &'a dyn Authorizer,
}

impl GrantCheck<'_> {
    /// May the user write this role? `name` is the name in the request's path (empty on create); `old` is the
    /// object before an update.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn role(
        &self,
        kind: RoleKind,
        namespace: &str,
        name: &str,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<(), Escalation> {
        if self.user.in_group(MASTERS_GROUP) || self.may_escalate(kind, namespace, name) {
            return Ok(());
        }
        if old.is_some_and(|old| only_collector_fields_differ(new, old)) {
            return Ok(());
        }
        let rules = new
            .get("rules")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let rules: Vec<PolicyRule> = rules.iter().map(PolicyRule::from_value).collect();
        self.holds(&rules, namespace)?;
        let aggregates = has_aggregation(new) || old.is_some_and(has_aggregation);
        if kind == RoleKind::ClusterRole
            && aggregates
            && self.holds(&full_authority(), namespace).is_err()
        {
            let text = "must have cluster-admin privileges to use the aggregationRule";
            return Err(Escalation::Forbidden(text.to_owned()));
        }
        Ok(())
    }

    /// May the user write this binding? The namespace is the request's, empty for a cluster role binding.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn binding(
        &self,
        namespace: &str,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<(), Escalation> {
        if self.user.in_group(MASTERS_GROUP)
            || old.is_some_and(|old| only_collector_fields_differ(new, old))
        {
            return Ok(());
        }
        let role_ref = RoleRef::from_value(new.get("roleRef").unwrap_or(&Value::Null));
        let Some(kind) = role_ref.role_kind() else {
            let text = format!(
                "unsupported role reference kind: {}",
                quoted(&role_ref.kind)
            );
            return Err(Escalation::Forbidden(text));
        };
        let bind = Attributes::resource(self.user, "bind", super::GROUP, kind.resource());
        if self
            .authorizer
            .authorize(&bind.object(namespace, &role_ref.name))
            .allowed()
        {
            return Ok(());
        }
        let rules =
            self.rbac
                .role_rules(&role_ref, namespace)
                .map_err(|_| Escalation::RoleNotFound {
                    resource: kind.resource(),
                    name: role_ref.name.clone(),
                })?;
        self.holds(&rules, namespace)
    }

    fn may_escalate(&self, kind: RoleKind, namespace: &str, name: &str) -> bool {
        let escalate = Attributes::resource(self.user, "escalate", super::GROUP, kind.resource());
        self.authorizer
            .authorize(&escalate.object(namespace, name))
            .allowed()
    }

    fn holds(&self, wanted: &[PolicyRule], namespace: &str) -> Result<(), Escalation> {
        let held = self.rbac.resolve(self.user, namespace);
        let missing = covers(&held.rules, wanted)
            .map_err(|error| Escalation::Forbidden(error.to_string()))?;
        if missing.is_empty() {
            return Ok(());
        }
        let lines: BTreeSet<String> = compact(&missing)
            .iter()
            .map(PolicyRule::compact_string)
            .collect();
        let lines: Vec<String> = lines.into_iter().collect();
        let mut message = format!(
            "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            quoted(&self.user.username),
            quoted_list(&self.user.groups),
            lines.join("\n")
        );
        if !held.errors.is_empty() {
            let errors = crate::text::aggregate(&held.errors);
            message.push_str(&format!("; resolution errors: [{errors}]"));
        }
        Err(Escalation::Forbidden(message))
    }
}

fn full_authority() -> [PolicyRule; 2] {
    let all = || vec!["*".to_owned()];
    [
        PolicyRule {
            verbs: all(),
            api_groups: all(),
            resources: all(),
            ..PolicyRule::default()
        },
        PolicyRule {
            verbs: all(),
            non_resource_urls: all(),
            ..PolicyRule::default()
        },
    ]
}

fn has_aggregation(role: &Value) -> bool {
    let selectors = role
        .get("aggregationRule")
        .and_then(|rule| rule.get("clusterRoleSelectors"));
    selectors
        .and_then(Value::as_array)
        .is_some_and(|selectors| !selectors.is_empty())
}

/// True if an update touches only what garbage collection needs to delete the object.
pub(crate) fn only_collector_fields_differ(new: &Value, old: &Value) -> bool {
    let rest = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            for key in ["ownerReferences", "finalizers", "selfLink", "managedFields"] {
                metadata.remove(key);
            }
        }
        object
    };
    meta(new, "name") == meta(old, "name") && rest(new) == rest(old)
}
