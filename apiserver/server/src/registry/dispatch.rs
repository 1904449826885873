//! From a request to the verb that answers it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};
use http_body_util::{BodyExt as _, Limited};
use mainstay_apistore::{Client, LeasePool, ResourceCache, Scope, Stored};
use mainstay_auth::Authorizer;
use mainstay_kinds::Part;
use mainstay_machinery::decode::FieldValidation;
use mainstay_machinery::meta;
use mainstay_machinery::status::{Reason, StatusError};
use mainstay_schema::{Resource, Verb};
use serde_json::Value;
use tokio::sync::watch;

use super::codec::{self, Media};
use super::create::Create;
use super::delete::{Delete, DeleteOptions, Gone, success};
use super::keys::Keys;
use super::parsed::Parsed;
use super::route::{check_segments, route};
use super::update::Update;
use super::write::{Written, of_resource, store_failure};
use super::{convert, sub};
use crate::admission::Admission;
use crate::answer::{self, Answer};
use crate::kubelet::Kubelets;
use crate::limits::BODY_BYTES_MAX;
use crate::metrics::Metrics;
use crate::pages;
use crate::proxy::{Backend, Room};
use crate::request::{Accepted, Encoding, Form, Offer, Target, WriteOptions, names_any, negotiate};
use crate::server::{Call, Warnings, for_people};
use crate::upload::Upload;

/// All resources over one store.
pub(crate) struct Registry {
    pub(crate) client: Client,
    pub(crate) keys: Keys,
    /// By prefix in the store: two versions of a kind share one.
    pub(crate) caches: HashMap<String, Arc<ResourceCache>>,
    /// Cached objects that are often looked at, as values.
    pub(crate) parsed: Parsed,
    pub(crate) leases: LeasePool,
    pub(crate) event_ttl: Duration,
    pub(crate) admission: Admission,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) identity: Arc<crate::identity::Identity>,
    pub(crate) components: crate::components::Components,
    pub(crate) kubelets: Arc<Kubelets>,
    /// The way to pods.
    pub(crate) pods: Backend,
    /// For requests that are passed on.
    pub(crate) room: Room,
    pub(crate) metrics: Arc<Metrics>,
    /// Shortest time of a watch that does not say its own, in seconds.
    pub(crate) watch_seconds: u64,
    /// Becomes true when the server ends.
    pub(crate) ending: watch::Receiver<bool>,
}

/// A request about one resource.
pub(crate) struct Request<'a> {
    pub(crate) call: &'a Call<'a>,
    pub(crate) target: &'a Target,
    pub(crate) resource: &'static Resource,
    pub(crate) accepted: Accepted,
}

impl Registry {
    pub(crate) async fn answer(&self, call: &Call<'_>, body: Upload) -> Answer {
        let Some(target) = &call.info.target else {
            return Err(StatusError::unknown_path());
        };
        let found = mainstay_schema::resource(&target.group, &target.version, &target.resource);
        // What follows a subresource is not ours to judge.
        let is_crooked = target.rest.is_empty() && call.info.path.contains("//");
        let Some(resource) = found.filter(|_| !is_crooked) else {
            return pages::unknown(&call.info.path);
        };
        let verb = route(&call.method, call.info, target, resource)?;
        check_segments(target)?;
        let accepted = match is_passed_on(target) {
            true => negotiated(call, target, verb).unwrap_or(Accepted::JSON),
            false => negotiated(call, target, verb)?,
        };
        check_form(accepted, verb, resource)?;
        let request = Request {
            call,
            target,
            resource,
            accepted,
        };
        if target.subresource.is_empty() {
            self.main(&request, verb, body).await
        } else {
            sub::answer(self, &request, body).await
        }
    }

    async fn main(&self, request: &Request<'_>, verb: Verb, body: Upload) -> Answer {
        if request.resource.store_prefix.is_empty() {
            return sub::virtual_resource(self, request, verb, body).await;
        }
        match verb {
            Verb::Get => self.get(request).await,
            Verb::List => self.list(request).await,
            Verb::Watch => self.watch(request).await,
            Verb::Create => self.post(request, body).await,
            Verb::Update => self.put(request, body, Part::Main).await,
            Verb::Patch => self.patch(request, body, Part::Main).await,
            Verb::Delete => self.delete_one(request, body).await,
            Verb::DeleteCollection => self.delete_all(request, body).await,
        }
    }

    async fn post(&self, request: &Request<'_>, body: Upload) -> Answer {
        let options = request.write_options()?;
        let body = read(body).await?;
        let (mut object, mut warnings) = request.decode(&body, options.field_validation)?;
        request.check_namespace(&object)?;
        convert::to_stored(request.resource, &mut object);
        convert::check_served(request.resource, &object, None)?;
        let create = Create {
            resource: request.stored(),
            namespace: &request.target.namespace,
            user: request.call.user,
            dry_run: options.dry_run,
        };
        match self.create(&create, object).await {
            Ok(mut written) => {
                warnings.append(&mut written.warnings);
                written.warnings = warnings;
                self.answer_written(request, written)
            }
            Err(e) => refused(e, warnings, request.accepted),
        }
    }

    pub(super) async fn put(&self, request: &Request<'_>, body: Upload, part: Part) -> Answer {
        let options = request.write_options()?;
        let body = read(body).await?;
        let (mut object, warnings) = request.decode(&body, options.field_validation)?;
        request.check_namespace(&object)?;
        request.check_name(&object)?;
        convert::to_stored(request.resource, &mut object);
        let update = request.update(part, options.dry_run, false);
        let change = move |current: Option<&Value>| {
            convert::check_served(request.resource, &object, current)?;
            Ok(object.clone())
        };
        match self.update(&update, &change).await {
            Ok(mut written) => {
                written.warnings.splice(0..0, warnings);
                self.answer_written(request, written)
            }
            Err(e) => refused(e, warnings, request.accepted),
        }
    }

    pub(super) async fn patch(&self, request: &Request<'_>, body: Upload, part: Part) -> Answer {
        let body = read(body).await?;
        // What is no patch here is said first: server-side apply has options of its own.
        let patch = codec::Patch::read(request.content_type(), &body)?;
        let options = request.write_options()?;
        let update = request.update(part, options.dry_run, true);
        let resource = request.resource;
        let found = parking_lot::Mutex::new(Vec::new());
        let change = |current: Option<&Value>| {
            let Some(current) = current else {
                return Err(StatusError::not_found(
                    of_resource(resource),
                    &request.target.name,
                ));
            };
            let mut served = current.clone();
            convert::to_served(resource, &mut served);
            let patched = patch.apply(
                &served,
                resource.gvk(),
                resource.ty,
                options.field_validation,
            )?;
            let mut object = patched.object;
            *found.lock() = patched.warnings;
            request.check_name(&object)?;
            request.check_namespace(&object)?;
            convert::to_stored(resource, &mut object);
            convert::check_served(resource, &object, Some(current))?;
            Ok(object)
        };
        match self.update(&update, &change).await {
            Ok(mut written) => {
                written.warnings.splice(0..0, found.into_inner());
                self.answer_written(request, written)
            }
            Err(e) => refused(e, found.into_inner(), request.accepted),
        }
    }

    async fn delete_one(&self, request: &Request<'_>, body: Upload) -> Answer {
        let options = request.delete_options(body).await?;
        let delete = Delete {
            resource: request.stored(),
            namespace: &request.target.namespace,
            name: &request.target.name,
            user: request.call.user,
            options: &options,
        };
        match self.delete(&delete).await? {
            Gone::Now(object) if !request.resource.returns_deleted => {
                let status = success(request.resource, &object);
                answer::object(StatusCode::OK, &status, request.accepted)
            }
            Gone::Now(mut object) | Gone::Later(mut object) => {
                convert::to_served(request.resource, &mut object);
                self.answer_object(request, StatusCode::OK, object)
            }
        }
    }

    /// Deletes what a list with the same selectors would show.
    async fn delete_all(&self, request: &Request<'_>, body: Upload) -> Answer {
        let options = request.delete_options(body).await?;
        let (found, revision) = self.selected(request).await?;
        let mut gone = Vec::with_capacity(found.len());
        for object in found {
            let delete = Delete {
                resource: request.stored(),
                namespace: meta::namespace(&object),
                name: meta::name(&object),
                user: request.call.user,
                options: &options,
            };
            match self.delete(&delete).await {
                Ok(Gone::Now(mut object) | Gone::Later(mut object)) => {
                    convert::to_served(request.resource, &mut object);
                    if request.accepted.form == Form::Objects
                        && let Some(fields) = object.as_object_mut()
                    {
                        // They are items of a list, whose kind says theirs.
                        fields.remove("kind");
                        fields.remove("apiVersion");
                    }
                    gone.push(object);
                }
                // Somebody else was faster.
                Err(e) if e.reason == Reason::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        self.answer_values(request, gone, Some(revision))
    }

    /// Answers an object that was written.
    pub(super) fn answer_written(&self, request: &Request<'_>, mut written: Written) -> Answer {
        let code = match written.created {
            true => StatusCode::CREATED,
            false => StatusCode::OK,
        };
        let bytes = written
            .stored
            .filter(|_| request.wants_stored())
            .and_then(|(bytes, revision)| codec::served(&bytes, revision));
        let mut response = match bytes {
            Some(bytes) => answer::json_bytes(code, bytes),
            None => {
                convert::to_served(request.resource, &mut written.object);
                if let Some(ty) = request.resource.ty {
                    mainstay_machinery::encode::complete(ty, &mut written.object);
                }
                self.answer_object(request, code, written.object)?
            }
        };
        response.extensions_mut().insert(Warnings(written.warnings));
        Ok(response)
    }

    /// The event's lease, for kinds that go by themselves.
    pub(crate) async fn lease_of(&self, resource: &Resource) -> Result<i64, StatusError> {
        if !is_leased(resource) {
            return Ok(0);
        }
        let lease = self.leases.lease(self.event_ttl).await;
        lease.map_err(|e| store_failure(&e))
    }

    /// The cache of a resource; every stored one has one.
    pub(crate) fn cache(&self, resource: &Resource) -> &Arc<ResourceCache> {
        self.caches
            .get(&resource.store_prefix)
            .expect("a cache is made for every prefix of the table")
    }

    /// What the cache knows of an object, if it does.
    pub(super) fn cached(&self, resource: &Resource, key: &Bytes) -> Option<Stored> {
        // The cache does not know leases: objects that have one are read anew.
        if is_leased(resource) {
            return None;
        }
        let view = self.cache(resource).now(&Scope::Key(key.clone()));
        let object = view.get(key)?;
        Some(Stored {
            key: object.key.clone(),
            value: object.value.clone(),
            revision: object.revision,
            created: 0,
            lease: 0,
        })
    }
}

/// A failure of a request whose body was read: what was odd about the body is said all the same.
fn refused(e: StatusError, warnings: Vec<String>, accepted: Accepted) -> Answer {
    if warnings.is_empty() {
        return Err(e);
    }
    let mut response = answer::failure(&e, accepted);
    response.extensions_mut().insert(Warnings(warnings));
    Ok(response)
}

/// Whether a resource's objects go by themselves.
fn is_leased(resource: &Resource) -> bool {
    resource.plural == "events"
}

/// Whether somebody else decides about the form of the answer.
fn is_passed_on(target: &Target) -> bool {
    let parts = ["attach", "exec", "portforward", "proxy"];
    parts.contains(&target.subresource.as_str())
}

/// The form of the answer, or why there is none.
fn negotiated(call: &Call<'_>, target: &Target, verb: Verb) -> Result<Accepted, StatusError> {
    let stream = verb == Verb::Watch;
    let part = target.subresource.as_str();
    let offer = Offer {
        protobuf: !stream,
        yaml: !stream,
        forms: part.is_empty() || part == "scale" || Part::parse(part).is_some(),
    };
    let header = call
        .headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    if let Some(mut accepted) = negotiate(header, offer) {
        accepted.pretty |= !stream && for_people(call.headers, call.query);
        return Ok(accepted);
    }
    let lists = matches!(verb, Verb::List | Verb::Watch);
    let produced = if lists { &PRODUCED[..] } else { &PRODUCED[..3] };
    if part.is_empty() && !names_any(header, produced) {
        // Said by upstream's router.
        let text = format!(
            "406: Not Acceptable\n\nAvailable representations: {}",
            produced.join(", ")
        );
        return Err(StatusError {
            details: Some(Box::default()),
            ..StatusError::new(406, Reason::NotAcceptable, text)
        });
    }
    Err(StatusError::not_acceptable(match stream {
        true => &["application/json", "application/json;stream=watch"],
        false => &PRODUCED[..3],
    }))
}

/// What upstream's routes say they can answer with; lists can be watched.
const PRODUCED: [&str; 5] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];

impl Request<'_> {
    pub(super) fn write_options(&self) -> Result<WriteOptions, StatusError> {
        WriteOptions::parse(self.call.query, self.call.info.verb)
    }

    /// Whether the answer is objects as they are stored.
    pub(super) fn wants_stored(&self) -> bool {
        self.accepted.encoding == Encoding::Json
            && self.accepted.form == Form::Objects
            && !self.accepted.pretty
            && !self.accepted.beta
            && convert::is_same(self.resource)
    }

    /// The resource whose kind is stored: differs where two versions share a storage.
    pub(crate) fn stored(&self) -> &'static Resource {
        let gvk = self.resource.storage_gvk;
        mainstay_schema::resource(gvk.group, gvk.version, self.resource.plural)
            .unwrap_or(self.resource)
    }

    pub(super) fn update(&self, part: Part, dry_run: bool, repeatable: bool) -> Update<'_> {
        Update {
            resource: self.stored(),
            namespace: &self.target.namespace,
            name: &self.target.name,
            part,
            subresource: &self.target.subresource,
            user: self.call.user,
            dry_run,
            repeatable,
            direct: false,
            may_create: !repeatable,
        }
    }

    pub(super) fn content_type(&self) -> &str {
        let header = self.call.headers.get(CONTENT_TYPE);
        let text = header
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        match text.split(';').next().unwrap_or_default().trim() {
            // Parameters of nothing are no type, and not JSON either.
            "" => text,
            media => media,
        }
    }

    /// The body as an object of this resource's kind.
    pub(super) fn decode(
        &self,
        body: &Bytes,
        validation: FieldValidation,
    ) -> Result<(Value, Vec<String>), StatusError> {
        let gvk = self.resource.gvk();
        codec::decode_body(
            body,
            Media::of(self.content_type())?,
            gvk,
            self.resource.ty,
            validation,
        )
    }

    pub(super) fn check_namespace(&self, object: &Value) -> Result<(), StatusError> {
        let own = meta::namespace(object);
        match own.is_empty() || own == self.target.namespace || self.resource.kind == "Namespace" {
            true => Ok(()),
            false => Err(StatusError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            )),
        }
    }

    fn check_name(&self, object: &Value) -> Result<(), StatusError> {
        let own = meta::name(object);
        if own == self.target.name {
            return Ok(());
        }
        Err(match own.is_empty() {
            true => StatusError::bad_request(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                self.target.name
            )),
            false => StatusError::bad_request(format!(
                "the name of the object ({own}) does not match the name on the URL ({})",
                self.target.name
            )),
        })
    }

    /// Options of a deletion from body and query; the body counts where both say something.
    pub(super) async fn delete_options(&self, body: Upload) -> Result<DeleteOptions, StatusError> {
        let query = self.call.query;
        let body = read(body).await?;
        let mut value = match body.is_empty() {
            true => Value::Null,
            false => codec::decode_options(&body, self.content_type())?,
        };
        let grace = query.number("gracePeriodSeconds")?;
        for name in [
            "propagationPolicy",
            "gracePeriodSeconds",
            "orphanDependents",
        ] {
            if let Some(text) = query.get(name)
                && value[name].is_null()
            {
                let parsed = match name {
                    "propagationPolicy" => text.into(),
                    "gracePeriodSeconds" => grace.into(),
                    _ => Value::from(query.flag(name)),
                };
                value[name] = parsed;
            }
        }
        let mut options = DeleteOptions::from_value(&value)?;
        options.dry_run |= self.write_options()?.dry_run;
        Ok(options)
    }
}

/// Metadata of one object is no list, and that of a list no single object.
fn check_form(accepted: Accepted, verb: Verb, resource: &Resource) -> Result<(), StatusError> {
    if accepted.form != Form::Metadata {
        return Ok(());
    }
    let (wanted, found, list) = match (verb, accepted.of_list) {
        (Verb::Get | Verb::Create | Verb::Update | Verb::Patch, true) => {
            ("PartialObjectMetadataList", "is not a list", "")
        }
        (Verb::List, false) => ("PartialObjectMetadata", "is a list", "List"),
        _ => return Ok(()),
    };
    // Upstream names its internal type.
    let package = match resource.group {
        "" | "events.k8s.io" => "core",
        group => group.split('.').next().unwrap_or_default(),
    };
    Err(StatusError::new(
        406,
        Reason::NotAcceptable,
        format!(
            "you requested {wanted}, but the requested object {found} (*{package}.{}{list})",
            resource.kind
        ),
    ))
}

/// A whole body, if it is not too large.
pub(super) async fn read(body: Upload) -> Result<Bytes, StatusError> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.is::<http_body_util::LengthLimitError>() => Err(
            StatusError::request_entity_too_large(format_args!("limit is {BODY_BYTES_MAX}")),
        ),
        Err(e) => Err(StatusError::bad_request(format!("reading the body: {e}"))),
    }
}

/// The reason of a request that is not understood at all.
pub(super) fn not_implemented(what: &str) -> StatusError {
    StatusError::new(
        501,
        Reason::Unknown,
        format!("{what} is not implemented by this server yet"),
    )
}
