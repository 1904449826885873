//! LimitRanger and ResourceQuota: what a namespace's owner was promised, and no more.

use std::sync::Arc;

use mainstay_auth::UserInfo;
use mainstay_kinds::Part;
use mainstay_kinds::limits::{Change, quota, range};
use mainstay_machinery::meta;
use mainstay_machinery::status::{Reason, StatusError};
use serde_json::Value;

use super::{Attempt, Lookup, Operation};
use crate::limits::CONFLICT_ATTEMPTS_MAX;
use crate::registry::{Update, millis, of_resource};

/// The rules of a namespace, to be worked on.
fn of_namespace(
    lookup: &Lookup,
    attempt: &Attempt<'_>,
    plural: &str,
) -> Result<Vec<Value>, StatusError> {
    let found = lookup.list("", plural, attempt.namespace)?;
    Ok(found.into_iter().map(Arc::unwrap_or_clone).collect())
}

fn change<'a>(attempt: &Attempt<'a>, object: &'a Value) -> Change<'a> {
    Change {
        resource: attempt.resource,
        subresource: attempt.subresource,
        new: object,
        old: attempt.old,
    }
}

/// Requests and limits that the namespace gives to pods without any.
pub(super) fn set_defaults(
    lookup: &Lookup,
    attempt: &Attempt<'_>,
    object: &mut Value,
) -> Result<(), StatusError> {
    if !attempt.is("", "pods") || attempt.operation != Operation::Create {
        return Ok(());
    }
    let ranges = of_namespace(lookup, attempt, "limitranges")?;
    range::set_defaults(object, &ranges);
    Ok(())
}

/// Refuses what is outside the namespace's ranges.
pub(super) fn check_ranges(
    lookup: &Lookup,
    attempt: &Attempt<'_>,
    object: &Value,
) -> Result<(), StatusError> {
    if attempt.namespace.is_empty() || !range::applies(&change(attempt, object)) {
        return Ok(());
    }
    let ranges = of_namespace(lookup, attempt, "limitranges")?;
    range::check(attempt.resource, object, &ranges)
        .map_err(|why| StatusError::forbidden(of_resource(attempt.resource), &attempt.name, why))
}

/// Charges the namespace's quotas, each as one guarded update, before the object is written.
pub(super) async fn charge(
    lookup: &Lookup,
    attempt: &Attempt<'_>,
    object: &Value,
) -> Result<(), StatusError> {
    // Most writes are of no concern to any quota: those do not even look for one.
    if attempt.namespace.is_empty() || !quota::concerns(&change(attempt, object)) {
        return Ok(());
    }
    let mut quotas = of_namespace(lookup, attempt, "resourcequotas")?;
    let mut fresh = false;
    for _ in 0..=CONFLICT_ATTEMPTS_MAX {
        if quotas.is_empty() {
            return Ok(());
        }
        let charged = quota::admit(&change(attempt, object), &quotas, millis());
        if matches!(charged, Err(quota::Refusal::Forbidden(_))) && !fresh {
            // The cache may not know yet that something was given back: the quotas of now decide.
            quotas = newest(lookup, attempt.namespace, &quotas).await?;
            fresh = true;
            continue;
        }
        let charged = charged.map_err(|refusal| match refusal {
            quota::Refusal::Forbidden(why) => {
                StatusError::forbidden(of_resource(attempt.resource), &attempt.name, why)
            }
            quota::Refusal::Failed(why) => StatusError::internal(why),
        })?;
        if attempt.dry_run || charged.is_empty() {
            return Ok(());
        }
        quotas = store(lookup, attempt.namespace, charged).await?;
        fresh = true;
    }
    Err(StatusError::server_timeout(
        of_resource(attempt.resource),
        "create",
        1,
    ))
}

/// Quotas as the store has them.
async fn newest(
    lookup: &Lookup,
    namespace: &str,
    quotas: &[Value],
) -> Result<Vec<Value>, StatusError> {
    let registry = lookup.registry()?;
    let resource = mainstay_schema::resource("", "v1", "resourcequotas")
        .ok_or_else(|| StatusError::internal("the table has no quotas"))?;
    let mut found = Vec::with_capacity(quotas.len());
    for quota in quotas {
        found.extend(
            registry
                .find_newest(resource, namespace, meta::name(quota))
                .await?,
        );
    }
    Ok(found)
}

/// Stores charged quotas. Those that somebody else has changed meanwhile are returned as they are now, to be charged
/// again.
async fn store(
    lookup: &Lookup,
    namespace: &str,
    charged: Vec<Value>,
) -> Result<Vec<Value>, StatusError> {
    let registry = lookup.registry()?;
    let resource = mainstay_schema::resource("", "v1", "resourcequotas")
        .ok_or_else(|| StatusError::internal("the table has no quotas"))?;
    let user = UserInfo::apiserver();
    let mut again = Vec::new();
    for quota in charged {
        let name = meta::name(&quota).to_owned();
        let update = Update {
            resource,
            namespace,
            name: &name,
            part: Part::Status,
            subresource: "status",
            user: &user,
            dry_run: false,
            repeatable: false,
            direct: true,
            may_create: false,
        };
        // Boxed: charging a quota is itself an update.
        let change = |_: Option<&Value>| Ok(quota.clone());
        let updated = Box::pin(registry.update(&update, &change)).await;
        match updated {
            Ok(_) => {}
            Err(e) if matches!(e.reason, Reason::Conflict | Reason::NotFound) => {
                again.extend(registry.find_newest(resource, namespace, &name).await?);
            }
            Err(e) => return Err(e),
        }
    }
    Ok(again)
}
