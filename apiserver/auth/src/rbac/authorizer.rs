//! The authorizer that answers from the index.

use parking_lot::RwLock;
use std::sync::Arc;

use super::index::{Event, RbacIndex};
use super::object::RoleRef;
use super::rule::PolicyRule;
use crate::attributes::{Attributes, Verdict};
use crate::authorizer::{Authorizer, RuleList};
use crate::text::aggregate;
use crate::user::UserInfo;

/// Rules and the errors met while they were gathered; the rules found are valid all the same.
#[derive(Clone, Debug, Default)]
pub struct ResolvedRules {
    /// The rules.
    pub rules: Vec<PolicyRule>,
    /// Texts of errors, such as bindings to roles that do not exist.
    pub errors: Vec<String>,
}

/// Answers from roles and bindings. Readers share a lock that a writer holds for one object's change.
#[derive(Debug, Default)]
pub struct RbacAuthorizer {
    index: RwLock<RbacIndex>,
}

impl RbacAuthorizer {
    /// Takes in one change from a watch cache.
    pub fn apply(&self, event: Event) {
        self.index.write().apply(event);
    }

    /// Replaces everything, as after a watch that had to start over.
    pub fn replace(&self, events: impl IntoIterator<Item = Event>) {
        let mut fresh = RbacIndex::default();
        events.into_iter().for_each(|event| fresh.apply(event));
        *self.index.write() = fresh;
    }

    /// The rules the user holds in the namespace.
    pub fn resolve(&self, user: &UserInfo, namespace: &str) -> ResolvedRules {
        let (rules, errors) = self.index.read().rules_for(user, namespace);
        ResolvedRules { rules, errors }
    }

    /// The rules of the role that a binding in the namespace refers to.
    ///
    /// # Errors
    /// The text of upstream's error if there is no such role.
    pub fn role_rules(
        &self,
        role_ref: &RoleRef,
        namespace: &str,
    ) -> Result<Arc<Vec<PolicyRule>>, String> {
        self.index.read().role_rules(role_ref, namespace)
    }
}

impl Authorizer for RbacAuthorizer {
    fn authorize(&self, attributes: &Attributes<'_>) -> Verdict {
        match self.index.read().allowed_by(attributes) {
            Ok(binding) => Verdict::allow(format!("RBAC: allowed by {binding}")),
            Err(errors) if errors.is_empty() => Verdict::no_opinion(""),
            Err(errors) => Verdict::no_opinion(format!("RBAC: {}", aggregate(&errors))),
        }
    }

    fn rules_for(&self, user: &UserInfo, namespace: &str) -> RuleList {
        let resolved = self.resolve(user, namespace);
        RuleList {
            rules: resolved.rules,
            incomplete: false,
            errors: resolved.errors,
        }
    }
}
