//! Creating objects.

use mainstay_apistore::{Created, Failure};
use mainstay_auth::UserInfo;
use mainstay_kinds::{KindRef, complete_name, default_object, prepare_for_create};
use mainstay_machinery::status::{Reason, StatusError};
use mainstay_machinery::{meta, validate};
use mainstay_schema::{Creatable, Resource};
use serde_json::{Value, json};

use super::dispatch::Registry;
use super::write::{
    Author, Written, now, of_resource, refuse, store_failure, take_revision, with_revision,
};
use crate::admission::{Attempt, Operation};
use crate::limits::GENERATE_NAME_ATTEMPTS_MAX;

/// A create as it was asked for.
pub(crate) struct Create<'a> {
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: &'a str,
    pub(crate) user: &'a UserInfo,
    pub(crate) dry_run: bool,
}

impl Registry {
    /// Creates an object of which only its shape is known to be right.
    pub(crate) async fn create(
        &self,
        asked: &Create<'_>,
        object: Value,
    ) -> Result<Written, StatusError> {
        if let Creatable::Later(why) = asked.resource.creatable {
            return Err(StatusError::new(
                501,
                Reason::MethodNotAllowed,
                format!(
                    "{} cannot be created: {why}",
                    asked.resource.qualified_name()
                ),
            ));
        }
        let generated = meta::name(&object).is_empty() && !meta::generate_name(&object).is_empty();
        let mut attempts = if generated {
            GENERATE_NAME_ATTEMPTS_MAX
        } else {
            1
        };
        loop {
            attempts -= 1;
            if attempts == 0 && !generated {
                return self.create_once(asked, object).await;
            }
            let attempt = self.create_once(asked, object.clone()).await;
            match attempt {
                Err(e) if e.reason == Reason::AlreadyExists && attempts > 0 => {}
                Err(e) if e.reason == Reason::AlreadyExists && generated => {
                    let name = meta::generate_name(&object);
                    return Err(StatusError::generate_name_conflict(
                        of_resource(asked.resource),
                        name,
                        1,
                    ));
                }
                other => return other,
            }
        }
    }

    async fn create_once(
        &self,
        asked: &Create<'_>,
        mut object: Value,
    ) -> Result<Written, StatusError> {
        let resource = asked.resource;
        let author = Author::new(asked.user);
        begin(resource, asked.namespace, &mut object)?;
        default_object(KindRef::from(resource), &mut object);
        prepare_for_create(KindRef::from(resource), &mut object, &author.context());
        let mut attempt = Attempt {
            operation: Operation::Create,
            resource,
            subresource: "",
            namespace: asked.namespace,
            name: meta::name(&object).to_owned(),
            user: asked.user,
            dry_run: asked.dry_run,
            old: None,
            warnings: Vec::new(),
        };
        let claims = self.admission.mutate(&mut attempt, &mut object).await?;
        let name = meta::name(&object).to_owned();
        if let Err(e) = self.check_new(&mut attempt, &mut object, &name).await {
            claims.give_back().await;
            return Err(e);
        }
        let mut warnings = attempt.warnings;
        warnings.extend(mainstay_kinds::warnings(
            KindRef::from(resource),
            &object,
            None,
        ));
        if asked.dry_run {
            let key = self.keys.object(resource, asked.namespace, &name);
            if self.newest(&key).await?.is_some() {
                return Err(StatusError::already_exists(of_resource(resource), &name));
            }
            return Ok(Written {
                object,
                stored: None,
                warnings,
                created: true,
            });
        }
        let key = self.keys.object(resource, asked.namespace, &name);
        let value = self.encode(resource, &mut object)?;
        let lease = self.lease_of(resource).await?;
        let claims = claims.send();
        let created = self.client.create(key, value.clone(), lease).await;
        claims
            .settle(&created, |created| matches!(created, Created::Done(_)))
            .await;
        if matches!(created, Err(Failure::LeaseNotFound)) {
            // Somebody revoked it, or the store was restored: the client's next attempt gets another.
            self.leases.forget(lease).await;
        }
        match created.map_err(|e| store_failure(&e))? {
            Created::Done(revision) => Ok(Written {
                object: with_revision(object, revision),
                stored: Some((value, revision)),
                warnings,
                created: true,
            }),
            Created::Exists(_) => Err(StatusError::already_exists(of_resource(resource), &name)),
        }
    }

    /// Refuses a complete object that may not be.
    async fn check_new(
        &self,
        attempt: &mut Attempt<'_>,
        object: &mut Value,
        name: &str,
    ) -> Result<(), StatusError> {
        let resource = attempt.resource;
        let mut errors = mainstay_kinds::validate_create(KindRef::from(resource), object);
        errors.extend(shape(resource, object));
        refuse(resource, name, &errors)?;
        complete_name(KindRef::from(resource), object);
        self.admission.validate(attempt, object).await
    }
}

/// What the schema asks for. Kinds with rules of their own say the same in upstream's words.
pub(super) fn shape(resource: &Resource, object: &Value) -> mainstay_machinery::field::ErrorList {
    let rules = !mainstay_kinds::has_rules(KindRef::from(resource));
    match resource.ty {
        Some(ty) if rules => validate::shape(ty, object, validate::ShapeRules::ALL),
        _ => mainstay_machinery::field::ErrorList::default(),
    }
}

/// Sets what the server sets, whatever the client sent.
fn begin(resource: &Resource, namespace: &str, object: &mut Value) -> Result<(), StatusError> {
    if take_revision(object).is_some() {
        // Upstream passes the error on without a reason.
        return Err(StatusError::new(
            500,
            Reason::Unknown,
            "resourceVersion should not be set on objects to be created",
        ));
    }
    if resource.namespaced && meta::namespace(object).is_empty() {
        meta::set_namespace(object, namespace);
    }
    if meta::name(object).is_empty() {
        let prefix = meta::generate_name(object).to_owned();
        if !prefix.is_empty() {
            let name = meta::generated_name(&mut rand::rng(), &prefix);
            meta::set_name(object, &name);
        }
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Err(StatusError::bad_request("the object has no metadata"));
    };
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
    ] {
        metadata.remove(field);
    }
    metadata.insert("creationTimestamp".to_owned(), json!(now()));
    metadata.insert(
        "uid".to_owned(),
        json!(meta::generate_uid(&mut rand::rng())),
    );
    Ok(())
}
