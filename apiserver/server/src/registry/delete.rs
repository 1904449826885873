//! Deleting objects: at once, after a grace period, or when the last finalizer is gone.

use mainstay_apistore::{Deleted, Stored, Updated};
use mainstay_auth::UserInfo;
use mainstay_kinds::{KindRef, grace_period_seconds, orphans_dependents_by_default};
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::meta;
use mainstay_machinery::status::{GroupResource, StatusError};
use mainstay_schema::Resource;
use serde_json::{Value, json};

use super::dispatch::Registry;
use super::update::is_finished;
use super::write::{of_resource, store_failure, with_revision};
use crate::admission::{Attempt, Operation};
use crate::limits::CONFLICT_ATTEMPTS_MAX;
use crate::request::{invalid_options, validate_dry_run};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// Options of a deletion.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace_period_seconds: Option<i64>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) propagation: Option<Propagation>,
    pub(crate) dry_run: bool,
}

/// What becomes of the objects that the deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Orphan,
    Background,
    Foreground,
}

/// A deletion as it was asked for.
pub(crate) struct Delete<'a> {
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) user: &'a UserInfo,
    pub(crate) options: &'a DeleteOptions,
}

/// What a deletion came to.
#[derive(Debug)]
pub(crate) enum Gone {
    /// The object is gone; this is what it was last.
    Now(Value),
    /// It is on its way.
    Later(Value),
}

impl DeleteOptions {
    /// From a `DeleteOptions` object, validated by its shape; `null` for none.
    pub(crate) fn from_value(value: &Value) -> Result<Self, StatusError> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut errors = ErrorList::default();
        let path = Path::new("propagationPolicy");
        let propagation = match value["propagationPolicy"].as_str() {
            None | Some("") => match value["orphanDependents"].as_bool() {
                None => None,
                Some(true) => Some(Propagation::Orphan),
                Some(false) => Some(Propagation::Background),
            },
            Some("Orphan") => Some(Propagation::Orphan),
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some(other) => {
                let supported = ["Foreground", "Background", "Orphan", "nil"];
                errors.push(Error::not_supported(&path, other, &supported));
                None
            }
        };
        if !value["propagationPolicy"].is_null() && !value["orphanDependents"].is_null() {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(Error::invalid(
                &path,
                value["propagationPolicy"].clone(),
                detail,
            ));
        }
        let dry_run = value["dryRun"].as_array().into_iter().flatten();
        let dry_run: Vec<&str> = dry_run.filter_map(Value::as_str).collect();
        validate_dry_run(&dry_run, &mut errors);
        if !errors.is_empty() {
            return Err(invalid_options("DeleteOptions", &errors));
        }
        let dry_run = !dry_run.is_empty();
        Ok(Self {
            grace_period_seconds: value["gracePeriodSeconds"].as_i64(),
            uid: text(&value["preconditions"]["uid"]),
            resource_version: text(&value["preconditions"]["resourceVersion"]),
            propagation,
            dry_run,
        })
    }
}

impl Registry {
    /// Deletes one object, or sets it on its way.
    pub(crate) async fn delete(&self, asked: &Delete<'_>) -> Result<Gone, StatusError> {
        let key = self
            .keys
            .object(asked.resource, asked.namespace, asked.name);
        let mut current = self.newest(&key).await?;
        for _ in 0..CONFLICT_ATTEMPTS_MAX {
            let Some(stored) = current else {
                return Err(StatusError::not_found(
                    of_resource(asked.resource),
                    asked.name,
                ));
            };
            match self.delete_once(asked, &stored).await? {
                Ok(gone) => return Ok(gone),
                Err(newer) => current = newer,
            }
        }
        Err(StatusError::modified(
            of_resource(asked.resource),
            asked.name,
        ))
    }

    /// `Ok(Err(_))`: somebody was faster, and this is what is there now.
    async fn delete_once(
        &self,
        asked: &Delete<'_>,
        stored: &Stored,
    ) -> Result<Result<Gone, Option<Stored>>, StatusError> {
        let resource = asked.resource;
        let old = self.decode_stored(resource, &stored.value)?;
        check_preconditions(asked, &old, &stored.revision.to_string())?;
        let mut attempt = Attempt {
            operation: Operation::Delete,
            resource,
            subresource: "",
            namespace: asked.namespace,
            name: asked.name.to_owned(),
            user: asked.user,
            dry_run: asked.options.dry_run,
            old: Some(&old),
            warnings: Vec::new(),
        };
        self.admission.validate(&mut attempt, &Value::Null).await?;
        let mut new = old.clone();
        mark(resource, &mut new, asked.options);
        let shown = |object: Value| with_revision(object, stored.revision);
        if is_finished(&new) || !must_wait(&new) {
            if asked.options.dry_run {
                return Ok(Ok(Gone::Now(shown(old))));
            }
            let deleted = self
                .client
                .delete(stored.key.clone(), stored.revision)
                .await;
            return Ok(match deleted.map_err(|e| store_failure(&e))? {
                Deleted::Done(revision) => {
                    self.deleted(resource, &old);
                    // Upstream marks what it deletes at once only where there are grace periods.
                    let last = match resource.kind {
                        "Pod" => new,
                        _ => old,
                    };
                    Ok(Gone::Now(with_revision(last, revision)))
                }
                Deleted::Conflict(newer) => Err(newer),
            });
        }
        if asked.options.dry_run {
            return Ok(Ok(Gone::Later(shown(new))));
        }
        let bytes = self.encode(resource, &mut new)?;
        if bytes == stored.value {
            return Ok(Ok(Gone::Later(shown(new))));
        }
        let updated = self
            .client
            .update(stored.key.clone(), stored.revision, bytes, stored.lease)
            .await;
        Ok(match updated.map_err(|e| store_failure(&e))? {
            Updated::Done(revision) => Ok(Gone::Later(with_revision(new, revision))),
            Updated::Conflict(newer) => Err(newer),
        })
    }
}

/// Whether an object of this revision is the one that the client means.
pub(super) fn check_preconditions(
    asked: &Delete<'_>,
    old: &Value,
    revision: &str,
) -> Result<(), StatusError> {
    let conflict = |why: String| {
        // Upstream names the kind here.
        let kind = GroupResource::new(asked.resource.group, asked.resource.kind);
        Err(StatusError::conflict(kind, asked.name, &why))
    };
    if let Some(uid) = &asked.options.uid
        && uid != meta::uid(old)
    {
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            meta::uid(old)
        ));
    }
    if let Some(wanted) = &asked.options.resource_version
        && wanted != revision
    {
        return conflict(format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({revision}). The object might have been modified"
        ));
    }
    Ok(())
}

/// Sets what a deletion sets: when it began, how long it may take, and who has to be waited for.
fn mark(resource: &Resource, object: &mut Value, options: &DeleteOptions) {
    let kind = KindRef::from(resource);
    let grace = grace_period_seconds(kind, object, options.grace_period_seconds);
    let begun = meta::deletion_timestamp(object).is_some();
    let remaining = meta::deletion_grace_period_seconds(object).unwrap_or(0);
    // A second deletion may only shorten what the first one granted.
    let seconds = match (begun, grace) {
        (true, Some(grace)) => grace.min(remaining),
        (true, None) => remaining.min(0),
        (false, grace) => grace.unwrap_or(0),
    };
    if !begun || seconds < remaining {
        let when = super::write::after(seconds);
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert(
                "deletionTimestamp".to_owned(),
                json!(meta::format_time(when)),
            );
            // A namespace is finalized: it has no grace period.
            if (resource.group, resource.kind) != ("", "Namespace") {
                metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(seconds));
            }
        }
        // The object is about to change in a way its keeper must see.
        if let Some(generation) = object["metadata"]["generation"].as_i64().filter(|_| !begun) {
            meta::set_generation(object, generation + 1);
        }
    }
    if !begun && resource.kind == "Namespace" && resource.group.is_empty() {
        object["status"]["phase"] = json!("Terminating");
    }
    let propagation = options.propagation.unwrap_or_else(|| {
        let has = |name| meta::finalizers(object).any(|own| own == name);
        if has(ORPHAN) || (!has(FOREGROUND) && orphans_dependents_by_default(kind)) {
            Propagation::Orphan
        } else if has(FOREGROUND) {
            Propagation::Foreground
        } else {
            Propagation::Background
        }
    });
    let set = |object: &mut Value, name: &str, wanted: bool| match wanted {
        true => meta::add_finalizer(object, name),
        false => meta::remove_finalizer(object, name),
    };
    set(object, ORPHAN, propagation == Propagation::Orphan);
    set(object, FOREGROUND, propagation == Propagation::Foreground);
}

fn must_wait(object: &Value) -> bool {
    meta::finalizers(object).next().is_some()
        || meta::deletion_grace_period_seconds(object).unwrap_or(0) > 0
        || object["spec"]["finalizers"]
            .as_array()
            .is_some_and(|list| !list.is_empty())
}

/// What is answered for an object that is gone.
pub(crate) fn success(resource: &Resource, object: &Value) -> Value {
    let mut details = json!({ "name": meta::name(object), "kind": resource.plural });
    if !resource.group.is_empty() {
        details["group"] = resource.group.into();
    }
    if !meta::uid(object).is_empty() {
        details["uid"] = meta::uid(object).into();
    }
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    })
}
