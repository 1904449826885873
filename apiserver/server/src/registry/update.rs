//! Updating objects: one guarded transaction in the store, from the newest object there is.

use bytes::Bytes;
use mainstay_apiplanted::{Mistake, makes, makes_seldom};
use mainstay_apistore::{Consistency, Created, Failure, Stored, Updated};
use mainstay_auth::UserInfo;
use mainstay_kinds::{KindRef, Part, Strategy, default_object, prepare_for_update};
use mainstay_machinery::field::{ErrorList, Path};
use mainstay_machinery::meta;
use mainstay_machinery::status::StatusError;
use mainstay_machinery::validate::object_meta_update;
use mainstay_schema::Resource;
use serde_json::Value;

use super::create::Create;
use super::dispatch::Registry;
use super::write::{
    Author, Written, carry_meta, of_resource, refuse, store_failure, take_revision, with_revision,
    written_revision,
};
use crate::admission::{Attempt, Claims, Operation};
use crate::limits::CONFLICT_ATTEMPTS_MAX;

/// An update as it was asked for.
pub(crate) struct Update<'a> {
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) part: Part,
    pub(crate) subresource: &'a str,
    pub(crate) user: &'a UserInfo,
    pub(crate) dry_run: bool,
    /// A change that is worked out anew from the current object each time, as patches are: others getting in the way is
    /// no conflict then, unless it names a revision.
    pub(crate) repeatable: bool,
    /// A change of the server's own making: taken as it is.
    pub(crate) direct: bool,
    /// Whether an object that does not exist may be created.
    pub(crate) may_create: bool,
}

/// The new object made from the current one. `None` for an object that does not exist.
pub(crate) type Change<'a> =
    dyn Fn(Option<&Value>) -> Result<Value, StatusError> + Send + Sync + 'a;

impl Registry {
    /// Applies a change to an object.
    pub(crate) async fn update(
        &self,
        asked: &Update<'_>,
        change: &Change<'_>,
    ) -> Result<Written, StatusError> {
        let key = self
            .keys
            .object(asked.resource, asked.namespace, asked.name);
        let (mut current, mut fresh) = match self.cached(asked.resource, &key) {
            Some(stored) => (Some(stored), false),
            None => (self.newest(&key).await?, true),
        };
        let mut attempts = CONFLICT_ATTEMPTS_MAX;
        loop {
            let Some(stored) = current else {
                return self.create_by_update(asked, change).await;
            };
            let tried = self.update_once(asked, change, &stored, fresh).await;
            current = match tried {
                Ok(Tried::Done(written)) => return Ok(written),
                Ok(Tried::Again(newer)) => newer,
                // What the cache knows may be old: the newest object decides.
                Err(failed) if failed.may_be_of_age(fresh) => self.newest(&key).await?,
                Err(Failed::Refused(e) | Failed::Write(e)) => return Err(e),
            };
            fresh = true;
            attempts -= 1;
            if attempts == 0 {
                return Err(StatusError::modified(
                    of_resource(asked.resource),
                    asked.name,
                ));
            }
        }
    }

    /// The object in the store now.
    pub(crate) async fn newest(&self, key: &bytes::Bytes) -> Result<Option<Stored>, StatusError> {
        let got = self
            .client
            .get(key.clone(), Consistency::Linearizable)
            .await
            .map_err(|e| store_failure(&e))?;
        Ok(got.found)
    }

    async fn create_by_update(
        &self,
        asked: &Update<'_>,
        change: &Change<'_>,
    ) -> Result<Written, StatusError> {
        let strategy = Strategy::of(KindRef::from(asked.resource));
        if !asked.may_create || !strategy.allows_create_on_update() || asked.part != Part::Main {
            return Err(StatusError::not_found(
                of_resource(asked.resource),
                asked.name,
            ));
        }
        let object = change(None)?;
        let create = Create {
            resource: asked.resource,
            namespace: asked.namespace,
            user: asked.user,
            dry_run: asked.dry_run,
        };
        self.create(&create, object).await
    }

    async fn update_once(
        &self,
        asked: &Update<'_>,
        change: &Change<'_>,
        stored: &Stored,
        fresh: bool,
    ) -> Result<Tried, Failed> {
        let resource = asked.resource;
        let old = self.decode_stored(resource, &stored.value)?;
        let shown = with_revision(old, stored.revision);
        let mut new = change(Some(&shown))?;
        let named = take_revision(&mut new);
        self.check_revision(asked, named.as_deref(), stored.revision)?;
        let mut claims = Claims::default();
        let (mut new, warnings) = match asked.direct {
            true => (new, Vec::new()),
            false => {
                // Rules compare objects that both have their revision.
                let new = with_revision(new, stored.revision);
                match self.prepare(asked, new, &shown, &mut claims).await {
                    Ok(prepared) => prepared,
                    Err(e) => {
                        claims.give_back().await;
                        return Err(e.into());
                    }
                }
            }
        };
        let bytes = self.encode(resource, &mut new)?;
        if bytes == stored.value {
            // Nothing changes, so nothing is written; but only the newest object can tell.
            if !fresh {
                let modified = StatusError::modified(of_resource(resource), asked.name);
                return Err(Failed::Refused(modified));
            }
            let same = Some((bytes, stored.revision));
            return Ok(Tried::done(shown, same, stored.revision, warnings));
        }
        if asked.dry_run {
            return Ok(Tried::done(new, None, stored.revision, warnings));
        }
        if is_finished(&new) {
            return self.finish(asked, stored, new, warnings).await;
        }
        // An event that happens again lives on from now, as upstream.
        let lease = match self.lease_of(resource).await? {
            0 => stored.lease,
            lease => lease,
        };
        assert!(!makes_seldom(Mistake::Panic, stored.revision), "planted");
        let claims = claims.send();
        let updated = self
            .client
            .update(stored.key.clone(), stored.revision, bytes.clone(), lease)
            .await;
        claims
            .settle(&updated, |updated| matches!(updated, Updated::Done(_)))
            .await;
        if matches!(updated, Err(Failure::LeaseNotFound)) {
            self.leases.forget(lease).await;
        }
        match updated.map_err(|e| Failed::Write(store_failure(&e)))? {
            Updated::Done(revision) => {
                self.changed(resource, &shown, &new);
                if makes(Mistake::OldContents) {
                    return Ok(Tried::done(shown, None, revision, warnings));
                }
                Ok(Tried::done(
                    new,
                    Some((bytes, revision)),
                    revision,
                    warnings,
                ))
            }
            Updated::Conflict(None) if makes(Mistake::Resurrection) => {
                let created = self.client.create(stored.key.clone(), bytes, 0).await;
                match created.map_err(|e| Failed::Write(store_failure(&e)))? {
                    Created::Done(revision) => Ok(Tried::done(new, None, revision, warnings)),
                    Created::Exists(newer) => Ok(Tried::Again(Some(newer))),
                }
            }
            Updated::Conflict(newer) => Ok(Tried::Again(newer)),
        }
    }

    /// The last finalizer of an object that is to go has been removed.
    async fn finish(
        &self,
        asked: &Update<'_>,
        stored: &Stored,
        new: Value,
        warnings: Vec<String>,
    ) -> Result<Tried, Failed> {
        let deleted = self
            .client
            .delete(stored.key.clone(), stored.revision)
            .await
            .map_err(|e| Failed::Write(store_failure(&e)))?;
        match deleted {
            mainstay_apistore::Deleted::Done(revision) => {
                self.deleted(asked.resource, &new);
                Ok(Tried::done(new, None, revision, warnings))
            }
            mainstay_apistore::Deleted::Conflict(newer) => Ok(Tried::Again(newer)),
        }
    }

    fn check_revision(
        &self,
        asked: &Update<'_>,
        named: Option<&str>,
        current: i64,
    ) -> Result<(), StatusError> {
        let named = written_revision(named.unwrap_or_default())?;
        match named {
            Some(named) if named == current => Ok(()),
            Some(_) => Err(StatusError::modified(
                of_resource(asked.resource),
                asked.name,
            )),
            None if asked.repeatable
                || Strategy::of(KindRef::from(asked.resource)).allows_unconditional_update() =>
            {
                Ok(())
            }
            None => {
                let mut errors = ErrorList::default();
                let path = Path::new("metadata").child("resourceVersion");
                let detail = "must be specified for an update";
                errors.push(mainstay_machinery::field::Error::invalid(&path, 0, detail));
                refuse(asked.resource, asked.name, &errors)
            }
        }
    }

    fn check_uid(&self, asked: &Update<'_>, new: &Value, old: &Value) -> Result<(), StatusError> {
        let (new, old) = (meta::uid(new), meta::uid(old));
        if new.is_empty() || new == old {
            return Ok(());
        }
        let key = self
            .keys
            .object(asked.resource, asked.namespace, asked.name);
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {new}, UID in object meta: {old}",
            String::from_utf8_lossy(&key)
        );
        Err(StatusError::conflict(
            of_resource(asked.resource),
            asked.name,
            &why,
        ))
    }

    /// Everything between the client's object and the stored one. What was taken for it is left in `claims`.
    async fn prepare(
        &self,
        asked: &Update<'_>,
        mut new: Value,
        old: &Value,
        claims: &mut Claims,
    ) -> Result<(Value, Vec<String>), StatusError> {
        let resource = asked.resource;
        let kind = KindRef::from(resource);
        let author = Author::new(asked.user);
        if !asked.repeatable {
            self.check_uid(asked, &new, old)?;
        }
        let uid = meta::uid(&new).to_owned();
        if resource.namespaced && meta::namespace(&new).is_empty() {
            meta::set_namespace(&mut new, asked.namespace);
        }
        for field in [
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generateName",
        ] {
            carry_meta(&mut new, old, field);
        }
        // The uid a patch names is compared like any other field.
        if !uid.is_empty() {
            new["metadata"]["uid"] = uid.into();
        }
        default_object(kind, &mut new);
        prepare_for_update(kind, &mut new, old, asked.part, &author.context());
        let mut attempt = Attempt {
            operation: Operation::Update,
            resource,
            subresource: asked.subresource,
            namespace: asked.namespace,
            name: asked.name.to_owned(),
            user: asked.user,
            dry_run: asked.dry_run,
            old: Some(old),
            warnings: Vec::new(),
        };
        *claims = self.admission.mutate(&mut attempt, &mut new).await?;
        let mut errors = mainstay_kinds::validate_update(kind, &new, old, asked.part);
        if !errors.is_empty() {
            // Upstream's rules of all updates look at the metadata, and those of each kind do so again.
            let mut twice = object_meta_update(&new, old, &Path::new("metadata"));
            twice.extend(errors);
            errors = twice;
        }
        errors.extend(super::create::shape(resource, &new));
        refuse(resource, asked.name, &errors)?;
        self.admission.validate(&mut attempt, &new).await?;
        let mut warnings = attempt.warnings;
        warnings.extend(mainstay_kinds::warnings(kind, &new, Some(old)));
        Ok((new, warnings))
    }
}

/// Why an attempt came to nothing.
#[derive(Debug)]
enum Failed {
    /// Before anything was written.
    Refused(StatusError),
    /// The write failed, and may yet have been carried out. Whoever tried it again would meet its own write, and call
    /// that a conflict, or carry it out twice.
    Write(StatusError),
}

impl Failed {
    /// Whether the object from which the attempt started can be the reason.
    fn may_be_of_age(&self, fresh: bool) -> bool {
        matches!(self, Self::Refused(_)) && !fresh
    }
}

impl From<StatusError> for Failed {
    fn from(e: StatusError) -> Self {
        Self::Refused(e)
    }
}

enum Tried {
    Done(Written),
    /// Somebody was faster; this is what is there now.
    Again(Option<Stored>),
}

impl Tried {
    fn done(
        object: Value,
        stored: Option<(Bytes, i64)>,
        revision: i64,
        warnings: Vec<String>,
    ) -> Self {
        Self::Done(Written {
            object: with_revision(object, revision),
            stored,
            warnings,
            created: false,
        })
    }
}

/// Whether an object that is to go has nothing left to wait for.
pub(super) fn is_finished(object: &Value) -> bool {
    meta::deletion_timestamp(object).is_some()
        && meta::finalizers(object).next().is_none()
        && meta::deletion_grace_period_seconds(object).unwrap_or(0) == 0
        && object["spec"]["finalizers"]
            .as_array()
            .is_none_or(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::{Failed, StatusError};

    #[test]
    fn an_update_of_unknown_outcome_was_tried_again_and_called_a_conflict() {
        let error = || StatusError::bad_request("any");
        let cases = [
            (Failed::Refused(error()), false, true),
            (Failed::Refused(error()), true, false),
            (Failed::Write(error()), false, false),
            (Failed::Write(error()), true, false),
        ];
        for (failed, fresh, again) in cases {
            assert_eq!(failed.may_be_of_age(fresh), again, "{failed:?}, {fresh}");
        }
    }
}
