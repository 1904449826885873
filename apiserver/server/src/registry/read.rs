//! Reading one object.

use http::{Response, StatusCode};
use mainstay_apiplanted::{Mistake, makes};
use mainstay_apistore::{Freshness, Object, Scope};
use mainstay_kinds::KindRef;
use mainstay_machinery::encode::partial_metadata;
use mainstay_machinery::status::StatusError;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

use super::codec;
use super::dispatch::{Registry, Request};
use super::list::cache_failure;
use super::write::{of_resource, read_revision, with_revision};
use super::{convert, table};
use crate::answer::{self, Answer};
use crate::body::Body;
use crate::request::Form;

/// How long a read waits for the cache.
pub(super) const READ_PATIENCE: Duration = Duration::from_secs(30);

impl Registry {
    pub(super) async fn get(&self, request: &Request<'_>) -> Answer {
        let target = request.target;
        let key = self
            .keys
            .object(request.resource, &target.namespace, &target.name);
        let version = request
            .call
            .query
            .get("resourceVersion")
            .unwrap_or_default();
        let revision = read_revision(version)?;
        let freshness = match (version, revision) {
            ("", _) if makes(Mistake::StaleRead) => Some(Freshness::Any),
            ("", _) => None,
            (_, None) => Some(Freshness::Any),
            (_, Some(revision)) => Some(Freshness::NotOlderThan(revision)),
        };
        let not_found = || StatusError::not_found(of_resource(request.resource), &target.name);
        let Some(freshness) = freshness else {
            // One key is read from the store faster than a cache is shown to be current.
            let stored = self.newest(&key).await?.ok_or_else(not_found)?;
            if let Some(bytes) = codec::served(&stored.value, stored.revision)
                && request.wants_stored()
            {
                return Ok(answer::json_bytes(StatusCode::OK, bytes));
            }
            let object = self.decode_stored(request.stored(), &stored.value)?;
            return self.answer_stored(request, with_revision(object, stored.revision));
        };
        let until = Instant::now() + READ_PATIENCE;
        let view = self
            .cache(request.resource)
            .list(&Scope::Key(key.clone()), freshness, until)
            .await
            .map_err(|e| cache_failure(&e))?;
        let object = view.get(&key).ok_or_else(not_found)?;
        self.answer_cached(request, object)
    }

    /// The bytes as they are, wherever that is what is wanted.
    fn answer_cached(&self, request: &Request<'_>, object: &Object) -> Answer {
        if let Some(bytes) = codec::served(&object.value, object.revision)
            && request.wants_stored()
        {
            return Ok(answer::json_bytes(StatusCode::OK, bytes));
        }
        let value = self.decode_stored(request.stored(), &object.value)?;
        self.answer_stored(request, with_revision(value, object.revision))
    }

    fn answer_stored(&self, request: &Request<'_>, mut object: Value) -> Answer {
        convert::to_served(request.resource, &mut object);
        self.answer_object(request, StatusCode::OK, object)
    }

    /// An object as it is served, in the form that was asked for.
    pub(super) fn answer_object(
        &self,
        request: &Request<'_>,
        code: StatusCode,
        object: Value,
    ) -> Result<Response<Body>, StatusError> {
        self.answer_as(request, KindRef::from(request.resource), code, object)
    }

    /// The same for an object that is of another kind than the resource's, as its scale is.
    pub(super) fn answer_as(
        &self,
        request: &Request<'_>,
        kind: KindRef<'_>,
        code: StatusCode,
        object: Value,
    ) -> Result<Response<Body>, StatusError> {
        match request.accepted.form {
            Form::Objects => answer::object(code, &object, request.accepted),
            Form::Metadata => answer::partial(code, partial_metadata(&object), request.accepted),
            Form::Table => {
                let revision = object["metadata"]["resourceVersion"].clone();
                let options = table::Options::parse(request.call.query)?;
                let table = table::of(kind, &[object], revision, &options);
                Ok(answer::meta(code, table, request.accepted))
            }
        }
    }
}
