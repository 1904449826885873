//! How the server's own loops write: several servers do the same side by side, so whoever was faster is right.

use mainstay_auth::UserInfo;
use mainstay_kinds::Part;
use mainstay_machinery::meta;
use mainstay_machinery::status::{Reason, StatusError};
use mainstay_schema::Resource;
use serde_json::Value;

use crate::registry::{Change, Create, Registry, Update};

/// A resource of version v1.
///
/// # Errors
/// The table does not have it.
pub(super) fn resource(group: &str, plural: &str) -> Result<&'static Resource, StatusError> {
    mainstay_schema::resource(group, "v1", plural)
        .ok_or_else(|| StatusError::internal(format_args!("the table has no {plural}")))
}

/// Creates an object unless one of its name exists.
pub(super) async fn ensure(
    registry: &Registry,
    resource: &'static Resource,
    object: Value,
) -> Result<(), StatusError> {
    let namespace = meta::namespace(&object).to_owned();
    let found = registry.find(resource, &namespace, meta::name(&object));
    if found.await?.is_some() {
        return Ok(());
    }
    let user = UserInfo::apiserver();
    let create = Create {
        resource,
        namespace: &namespace,
        user: &user,
        dry_run: false,
    };
    match registry.create(&create, object).await {
        Err(e) if e.reason != Reason::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// What stands in the way of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// Those of everybody; another's change in between makes this one anew.
    Anew,
    /// Those of everybody; the change holds for the object that was looked at only.
    Once,
    /// As `Once`, and taken as it is.
    Direct,
}

/// Changes an object that exists. That it is gone, or that another server was faster, is no failure.
pub(super) async fn change(
    registry: &Registry,
    resource: &'static Resource,
    (namespace, name): (&str, &str),
    part: Part,
    rules: Rules,
    change: &Change<'_>,
) -> Result<(), StatusError> {
    let user = UserInfo::apiserver();
    let update = Update {
        resource,
        namespace,
        name,
        part,
        subresource: if part == Part::Status { "status" } else { "" },
        user: &user,
        dry_run: false,
        repeatable: rules == Rules::Anew,
        direct: rules == Rules::Direct,
        may_create: false,
    };
    match registry.update(&update, change).await {
        Err(e) if !matches!(e.reason, Reason::Conflict | Reason::NotFound) => Err(e),
        _ => Ok(()),
    }
}
