//! Lists: served from the cache, in pieces, whatever their length.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use mainstay_apiplanted::{Mistake, makes};
use mainstay_apistore::{CacheError, Freshness, Object, PageRequest, Scope, View};
use mainstay_machinery::encode::partial_metadata;
use mainstay_machinery::selector::{FieldSelector, LabelSelector};
use mainstay_machinery::status::StatusError;
use mainstay_schema::Resource;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::codec;
use super::continuation::Continue;
use super::dispatch::{Registry, Request};
use super::pieces::{self, Pieces};
use super::read::READ_PATIENCE;
use super::write::{parse_revision, store_failure, with_revision};
use super::{convert, table};
use crate::answer::{self, Answer};
use crate::body::Body;
use crate::request::{Encoding, Form, ListOptions, Match};

/// Upstream's words for a field that nothing can be selected by: kinds without fields of their own say which are left.
fn unknown_field(known: &[&str], field: &str) -> String {
    let common = ["metadata.name", "metadata.namespace"];
    match known.iter().all(|field| common.contains(field)) {
        true => format!(
            "\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        ),
        false => format!("field label not supported: {field}"),
    }
}

/// Which objects are wanted.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    pub(super) fn parse(resource: &Resource, options: &ListOptions) -> Result<Self, StatusError> {
        let labels = LabelSelector::parse(&options.label_selector)
            .map_err(|e| StatusError::bad_request(e.to_string()))?;
        let fields = FieldSelector::parse(&options.field_selector)
            .map_err(|e| StatusError::bad_request(e.to_string()))?;
        let known = mainstay_kinds::selectable_fields(mainstay_kinds::KindRef::from(resource));
        for term in fields.terms() {
            let field = term.field.as_str();
            if !known.contains(&field) {
                return Err(StatusError::bad_request(unknown_field(known, field)));
            }
        }
        Ok(Self { labels, fields })
    }

    /// The same for one object only.
    pub(super) fn of_name(self, name: &str) -> Result<Self, StatusError> {
        if self.fields.requires_exactly("metadata.name") == Some(name) {
            return Ok(self);
        }
        if !self.fields.is_everything() {
            return Err(StatusError::bad_request(
                "fieldSelector metadata.name doesn't match requested name",
            ));
        }
        let mut term = "metadata.name=".to_owned();
        for c in name.chars() {
            if matches!(c, '\\' | ',' | '=') {
                term.push('\\');
            }
            term.push(c);
        }
        let fields =
            FieldSelector::parse(&term).map_err(|e| StatusError::bad_request(e.to_string()))?;
        Ok(Self { fields, ..self })
    }

    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    pub(super) fn matches(&self, object: &Object) -> bool {
        let attributes = &object.attributes;
        self.labels.matches_with(|key| attributes.label(key))
            && self
                .fields
                .matches_with(|field| Some(attributes.field(field).unwrap_or_default()))
    }

    /// The narrowest part of the cache with all selected objects.
    pub(super) fn scope(&self, registry: &Registry, request: &Request<'_>) -> Scope {
        match self.place(request.resource, &request.target.namespace) {
            Place::Object(namespace, name) => {
                Scope::Key(registry.keys.object(request.resource, namespace, name))
            }
            Place::Index(value) => Scope::index(value),
            Place::Namespace(namespace) => Scope::namespace(namespace),
            Place::All => Scope::All,
        }
    }

    /// Where everything selected is, for a request about a namespace or, if that is empty, about all.
    fn place<'a>(&'a self, resource: &Resource, asked: &'a str) -> Place<'a> {
        let exact = |name: &str| self.fields.requires_exactly(name);
        let namespace = match exact("metadata.namespace") {
            Some(namespace) if asked.is_empty() => namespace,
            _ => asked,
        };
        if let Some(name) = exact("metadata.name")
            && (!resource.namespaced || !namespace.is_empty())
        {
            return Place::Object(namespace, name);
        }
        // An index knows no namespaces: whoever asks about one must not be shown others.
        if asked.is_empty()
            && let Some(indexed) = codec::index_field(resource)
            && let Some(value) = exact(indexed)
            && !value.is_empty()
        {
            return Place::Index(value);
        }
        match namespace {
            "" => Place::All,
            namespace => Place::Namespace(namespace),
        }
    }
}

/// A part of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place<'a> {
    /// Namespace and name.
    Object(&'a str, &'a str),
    Index(&'a str),
    Namespace(&'a str),
    All,
}

/// A page: its objects, the revision of the list, and what follows.
struct Page {
    objects: Vec<Arc<Object>>,
    revision: i64,
    token: Option<String>,
    remaining: Option<u64>,
}

impl Registry {
    pub(super) async fn list(&self, request: &Request<'_>) -> Answer {
        let options = ListOptions::parse(request.call.query, false)?;
        let selection = Selection::parse(request.resource, &options)?;
        let page = self.page(request, &options, &selection).await?;
        self.answer_page(request, page)
    }

    async fn page(
        &self,
        request: &Request<'_>,
        options: &ListOptions,
        selection: &Selection,
    ) -> Result<Page, StatusError> {
        let (freshness, start) = freshness(options)?;
        let prefix = self.keys.prefix(request.resource);
        let freshness = match makes(Mistake::TornPages) && start.is_some() {
            true => Freshness::Any,
            false => freshness,
        };
        let scope = selection.scope(self, request);
        let until = Instant::now() + READ_PATIENCE;
        let listed = self
            .cache(request.resource)
            .list(&scope, freshness, until)
            .await;
        let view = match (listed, freshness) {
            (Ok(view), _) => view,
            // The cache does not have it, but the store may.
            (
                Err(CacheError::TooOld { .. } | CacheError::StoreOnly(_)),
                Freshness::Exact(revision),
            ) => {
                return self
                    .page_of_store(request, options, selection, revision, start)
                    .await;
            }
            (Err(e), _) => return Err(cache_failure(&e)),
        };
        let revision = view.revision();
        let view = match start {
            Some(start) => view.after(format!("{prefix}{start}").as_bytes()),
            None => view,
        };
        Ok(cut(view, revision, options.limit, selection, &prefix))
    }

    async fn page_of_store(
        &self,
        request: &Request<'_>,
        options: &ListOptions,
        selection: &Selection,
        revision: i64,
        start: Option<String>,
    ) -> Result<Page, StatusError> {
        let prefix = self.keys.prefix(request.resource);
        let of_namespace = match request.target.namespace.as_str() {
            "" => prefix.clone(),
            namespace => format!("{prefix}{namespace}/"),
        };
        let mut objects = Vec::new();
        let mut after = start
            .as_ref()
            .map(|start| Bytes::from(format!("{prefix}{start}")));
        let limit = options.limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        });
        loop {
            let asked = PageRequest {
                prefix: of_namespace.clone().into(),
                after: after.clone(),
                limit: i64::try_from(limit.min(STORE_PAGE_KEYS)).unwrap_or(i64::MAX),
                revision,
                ..PageRequest::default()
            };
            let page = self.client.page(&asked).await;
            let page = page.map_err(|e| match (&e, &start) {
                // The pages before are with the client: it may want the rest as it is now.
                (mainstay_apistore::Failure::Compacted, Some(start)) => {
                    StatusError::continue_inconsistent(&Continue::encode(Continue::NOW, start))
                }
                _ => store_failure(&e),
            })?;
            let decode = codec::decoder(request.stored());
            let mut remaining = u64::try_from(page.remaining).unwrap_or(0);
            let read = page.items.len();
            for (at, stored) in page.items.into_iter().enumerate() {
                let Some((value, attributes)) = decode(&stored.key, &stored.value) else {
                    continue;
                };
                let object = Object {
                    key: stored.key.clone(),
                    revision: stored.revision,
                    value,
                    attributes,
                };
                if selection.matches(&object) {
                    objects.push(Arc::new(object));
                }
                if objects.len() == limit {
                    remaining += (read - at - 1) as u64;
                    let start = rest_of(&stored.key, &prefix);
                    return Ok(Page {
                        objects,
                        revision,
                        token: (remaining > 0).then(|| Continue::encode(revision, &start)),
                        remaining: selection
                            .is_everything()
                            .then_some(remaining)
                            .filter(|n| *n > 0),
                    });
                }
                after = Some(stored.key);
            }
            if remaining == 0 {
                return Ok(Page {
                    objects,
                    revision,
                    token: None,
                    remaining: None,
                });
            }
        }
    }

    /// All objects that a list with the request's selectors shows.
    pub(super) async fn selected(
        &self,
        request: &Request<'_>,
    ) -> Result<(Vec<Value>, i64), StatusError> {
        let options = ListOptions::parse(request.call.query, false)?;
        let selection = Selection::parse(request.resource, &options)?;
        let page = self.page(request, &options, &selection).await?;
        let values = page.objects.iter().map(|object| {
            let value = self.decode_stored(request.stored(), &object.value)?;
            Ok(with_revision(value, object.revision))
        });
        let values: Result<_, StatusError> = values.collect();
        Ok((values?, page.revision))
    }

    /// A list of objects that come from nowhere, or are gone.
    pub(super) fn answer_values(
        &self,
        request: &Request<'_>,
        objects: Vec<Value>,
        revision: Option<i64>,
    ) -> Answer {
        let metadata = match revision {
            Some(revision) => json!({ "resourceVersion": revision.to_string() }),
            None => json!({}),
        };
        if request.accepted.form == Form::Table {
            let options = table::Options::parse(request.call.query)?;
            let rows = objects
                .into_iter()
                .map(|object| table::row_of(request.resource, object, options.include))
                .collect();
            let table = table::framed(table::definitions(request.resource), rows, metadata);
            return Ok(answer::meta(StatusCode::OK, table, request.accepted));
        }
        let list = json!({
            "kind": request.resource.list_kind(),
            "apiVersion": request.resource.api_version(),
            "metadata": metadata,
            "items": objects,
        });
        answer::object(StatusCode::OK, &list, request.accepted)
    }

    fn answer_page(&self, request: &Request<'_>, page: Page) -> Answer {
        let mut metadata = json!({ "resourceVersion": page.revision.to_string() });
        if let Some(token) = page.token {
            metadata["continue"] = token.into();
        }
        if let Some(remaining) = page.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        let accepted = request.accepted;
        if accepted.encoding == Encoding::Json && !accepted.pretty && !accepted.beta {
            let pieces = streamed(request, &metadata, page.objects)?;
            let mut response = answer::json_bytes(StatusCode::OK, "");
            *response.body_mut() = Body::Pieces(Box::new(pieces));
            return Ok(response);
        }
        let mut objects = Vec::with_capacity(page.objects.len());
        for object in &page.objects {
            let value = self.decode_stored(request.stored(), &object.value)?;
            let mut value = with_revision(value, object.revision);
            convert::to_served(request.resource, &mut value);
            objects.push(value);
        }
        if accepted.form == Form::Table {
            let options = table::Options::parse(request.call.query)?;
            let rows = objects
                .into_iter()
                .map(|object| table::row_of(request.resource, object, options.include))
                .collect();
            let table = table::framed(table::definitions(request.resource), rows, metadata);
            return Ok(answer::meta(StatusCode::OK, table, accepted));
        }
        let (kind, api_version) = match accepted.form {
            Form::Metadata => {
                objects = objects.iter().map(partial_metadata).collect();
                (
                    "PartialObjectMetadataList".to_owned(),
                    "meta.k8s.io/v1".to_owned(),
                )
            }
            _ => (request.resource.list_kind(), request.resource.api_version()),
        };
        let list = json!({
            "kind": kind,
            "apiVersion": api_version,
            "metadata": metadata,
            "items": objects,
        });
        if accepted.form == Form::Metadata {
            return answer::partial(StatusCode::OK, list, accepted);
        }
        answer::object(StatusCode::OK, &list, accepted)
    }
}

/// A list in the form that was asked for, written object by object.
fn streamed(
    request: &Request<'_>,
    metadata: &Value,
    objects: Vec<Arc<Object>>,
) -> Result<Pieces, StatusError> {
    let resource = request.resource;
    let same = convert::is_same(resource);
    let list = |kind: &str, api_version: &str| {
        format!(
            "{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"items\":["
        )
    };
    let (head, write): (String, Box<pieces::Write>) = match request.accepted.form {
        Form::Objects if same => (
            list(&resource.list_kind(), &resource.api_version()),
            Box::new(|object, out| codec::write_item(&object.value, object.revision, out)),
        ),
        Form::Objects => (
            list(&resource.list_kind(), &resource.api_version()),
            Box::new(move |object, out| {
                if let Some(value) = codec::parse_served(resource, object) {
                    codec::write_value(&value, out);
                }
            }),
        ),
        Form::Metadata => (
            list("PartialObjectMetadataList", "meta.k8s.io/v1"),
            Box::new(|object, out| {
                // Everything in the cache is canonical; metadata is the same in every version.
                codec::write_metadata(&object.value, object.revision, out);
            }),
        ),
        Form::Table => {
            let include = table::Options::parse(request.call.query)?.include;
            let head = format!(
                "{{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{metadata},\"columnDefinitions\":{},\"rows\":[",
                table::definitions(resource)
            );
            let write = move |object: &Object, out: &mut Vec<u8>| {
                table::write_row(resource, object, include, out);
            };
            (head, Box::new(write))
        }
    };
    Ok(Pieces::new(head, objects, write))
}

/// Keys read from the store at a time.
const STORE_PAGE_KEYS: usize = 1000;

/// How current a list must be, and behind which key it begins.
fn freshness(options: &ListOptions) -> Result<(Freshness, Option<String>), StatusError> {
    if !options.continue_token.is_empty() {
        if !options.resource_version.is_empty() && options.resource_version != "0" {
            return Err(StatusError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let token = Continue::decode(&options.continue_token)?;
        let freshness = match token.rv {
            revision if revision > 0 => Freshness::Exact(revision),
            _ => Freshness::Consistent,
        };
        return Ok((freshness, Some(token.start)));
    }
    let revision = parse_revision(&options.resource_version).map_err(|e| {
        StatusError::bad_request(format!("invalid resource version: {}", e.message))
    })?;
    let freshness = match (revision, options.version_match) {
        (None, _) if options.resource_version == "0" => Freshness::Any,
        (None, _) => Freshness::Consistent,
        (Some(revision), Match::Exact) => Freshness::Exact(revision),
        // With a limit, unset means exactly this revision, as upstream.
        (Some(revision), Match::Unset) if options.limit.is_some() => Freshness::Exact(revision),
        (Some(revision), _) => Freshness::NotOlderThan(revision),
    };
    Ok((freshness, None))
}

/// The first objects of a view, and where the next page begins.
fn cut(
    mut view: View,
    revision: i64,
    limit: Option<u64>,
    selection: &Selection,
    prefix: &str,
) -> Page {
    let everything = selection.is_everything();
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let mut objects = Vec::new();
    let mut last = None;
    while objects.len() < limit {
        let Some(object) = view.pop_front() else {
            break;
        };
        last = Some(object.key.clone());
        if everything || selection.matches(&object) {
            objects.push(object);
        }
    }
    let remaining = view.len() as u64;
    let token = last
        .filter(|_| remaining > 0)
        .map(|key| Continue::encode(revision, &rest_of(&key, prefix)));
    Page {
        objects,
        revision,
        token,
        // How many of the rest are selected nobody knows.
        remaining: (everything && remaining > 0).then_some(remaining),
    }
}

fn rest_of(key: &[u8], prefix: &str) -> String {
    let rest = key.strip_prefix(prefix.as_bytes()).unwrap_or(key);
    String::from_utf8_lossy(rest).into_owned()
}

/// What a failed read of the cache is to a client.
pub(super) fn cache_failure(failure: &CacheError) -> StatusError {
    match failure {
        CacheError::TooOld { .. } => StatusError::list_compacted(),
        CacheError::TooLarge { requested, current } => StatusError::too_large_resource_version(
            u64::try_from(*requested).unwrap_or(0),
            u64::try_from(*current).unwrap_or(0),
            1,
        ),
        CacheError::Store(failure) => store_failure(failure),
        other => StatusError::service_unavailable(other.to_string()),
    }
}

/// A list for loops of this process.
impl Registry {
    pub(crate) async fn all(
        &self,
        resource: &'static Resource,
        scope: &Scope,
    ) -> Result<Vec<Value>, StatusError> {
        let until = Instant::now() + READ_PATIENCE;
        let view = self
            .cache(resource)
            .list(scope, Freshness::Consistent, until)
            .await
            .map_err(|e| cache_failure(&e))?;
        view.iter()
            .map(|object| {
                let value = self.decode_stored(resource, &object.value)?;
                Ok(with_revision(value, object.revision))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{ListOptions, Place, Selection};
    use crate::request::Query;

    fn check(asked: &str, selector: &str, wanted: Place<'_>) {
        let pods = mainstay_schema::resource("", "v1", "pods").unwrap();
        let query = format!("fieldSelector={}", selector.replace('=', "%3D"));
        let options = ListOptions::parse(&Query::parse(Some(&query)), false).unwrap();
        let selection = Selection::parse(pods, &options).unwrap();
        let place = selection.place(pods, asked);
        assert_eq!(place, wanted, "{selector} in {asked:?}");
    }

    #[test]
    fn the_narrowest_part_with_all_that_is_selected() {
        check("", "", Place::All);
        check("a", "", Place::Namespace("a"));
        check("", "spec.nodeName=n", Place::Index("n"));
        check("", "metadata.namespace=b", Place::Namespace("b"));
        check("", "metadata.name=p", Place::All);
        check("a", "metadata.name=p", Place::Object("a", "p"));
    }

    #[test]
    fn pods_of_a_node_in_one_namespace_were_those_of_all_namespaces() {
        check("a", "spec.nodeName=n", Place::Namespace("a"));
    }
}
