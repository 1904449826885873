//! Role based access control: rules, the compiled index of roles and bindings, the policy every cluster
//! starts with, and the checks that nobody grants more than they hold.

mod authorizer;
pub mod bootstrap;
mod cover;
mod escalation;
mod index;
mod object;
mod reconcile;
mod rule;

pub use authorizer::{RbacAuthorizer, ResolvedRules};
pub use cover::{compact, covers};
pub(crate) use escalation::only_collector_fields_differ;
pub use escalation::{Escalation, GrantCheck};
pub use index::{Event, RbacIndex};
pub use object::{Binding, BindingKind, Role, RoleKind, RoleRef, Subject, SubjectKind};
pub use reconcile::{Reconciled, aggregate_rules, reconcile_binding, reconcile_role};
pub use rule::PolicyRule;
pub(crate) use rule::strings;

/// The API group of every object here.
pub const GROUP: &str = "rbac.authorization.k8s.io";
