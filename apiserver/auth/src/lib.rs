//! Who is asking, and what they may do.
//!
//! Pure: no clock, no I/O, no runtime. Time is passed in, objects come in as events or through look-ups the
//! server answers from its watch caches.
#![forbid(unsafe_code)]

pub mod admission;
mod attributes;
pub mod authn;
mod authorizer;
pub mod der;
pub mod limits;
pub mod node;
pub mod pod_security;
pub mod rbac;
mod review;
mod review_check;
mod text;
mod user;

pub use attributes::{
    Attributes, Decision, FieldRequirement, Verdict, forbidden_message, forbidden_object,
};
pub use authorizer::{Authorizer, Masters, OpenPaths, RuleList, Union};
pub use review::{access_review, reviewed_user, rules_review};
pub use review_check::{ReviewError, ReviewKind, review_errors};
pub use user::{
    ANONYMOUS_USER, APISERVER_USER, AUTHENTICATED_GROUP, CREDENTIAL_ID_KEY, MASTERS_GROUP,
    NODE_USER_PREFIX, NODES_GROUP, SERVICE_ACCOUNT_USER_PREFIX, SERVICE_ACCOUNTS_GROUP,
    UNAUTHENTICATED_GROUP, UserInfo, service_account_groups, service_account_username,
    split_service_account,
};
