//! A request's way: who asks, may they, is there room, what is it about.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{ACCEPT, HeaderValue, WARNING};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use mainstay_auth::{Attributes, Authorizer, FieldRequirement, UserInfo, forbidden_message};
use mainstay_machinery::status::{GroupResource, Reason, StatusError};
use tokio::time::timeout;

use crate::answer::{self, Answer};
use crate::body::Body;
use crate::health::Health;
use crate::identity::{self, Identity};
use crate::inflight::Inflight;
use crate::limits::RETRY_AFTER_SECONDS;
use crate::metrics::Metrics;
use crate::pages;
use crate::registry::Registry;
use crate::request::{Accepted, Info, Offer, Query, negotiate};
use crate::serve::Peer;

/// Everything that answers requests. Stateless but for caches: any number of servers stand side by side.
pub(crate) struct Server {
    pub(crate) registry: Arc<Registry>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) inflight: Inflight,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) request_timeout: Duration,
    /// Host and port under which clients are told to reach this server.
    pub(crate) address: SocketAddr,
    /// Set when the server is about to end.
    pub(crate) ending: AtomicBool,
}

/// A request whose caller is known and allowed.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) info: &'a Info,
    pub(crate) query: &'a Query<'a>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) user: &'a UserInfo,
}

impl Server {
    /// Answers one request, whatever happens.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Response<Body> {
        let begun = std::time::Instant::now();
        let (parts, body) = request.into_parts();
        let query = Query::parse(parts.uri.query());
        let method = parts.method.clone();
        let info = Info::new(&method, parts.uri.path(), query.flag("watch"));
        let accepted = accepted(&parts.headers).unwrap_or(Accepted::JSON);
        let mut response = match &info {
            Err(_) => answer::failure(&StatusError::unknown_path(), accepted),
            Ok(info) => {
                let call = Arrived {
                    method,
                    info,
                    query: &query,
                    headers: &parts.headers,
                    peer: &peer,
                };
                match self.limited(call, body).await {
                    Ok(response) => response,
                    Err(e) => answer::failure(&e, accepted),
                }
            }
        };
        if let Ok(info) = &info {
            warn_of_deprecation(info, &mut response);
        }
        let headers = response.headers_mut();
        headers.insert("audit-id", request_id());
        answer::not_cached(&mut response);
        if self.ending.load(Ordering::Relaxed) && parts.version < http::Version::HTTP_2 {
            let close = HeaderValue::from_static("close");
            response
                .headers_mut()
                .insert(http::header::CONNECTION, close);
        }
        if let Ok(info) = &info {
            self.metrics
                .answered(info, response.status(), begun.elapsed());
        }
        response
    }

    /// Room and time first: neither is spent on who may not ask, but deciding that is cheap.
    async fn limited(self: &Arc<Self>, call: Arrived<'_>, body: Incoming) -> Answer {
        if call.info.is_long_running() {
            return self.known(call, body).await;
        }
        let Ok(_permit) = self.inflight.enter(call.info.is_read_only()) else {
            self.metrics.rejected(call.info.is_read_only());
            return Err(StatusError::too_many_requests(
                "too many requests, please try again later",
                RETRY_AFTER_SECONDS,
            ));
        };
        let limit = call
            .query
            .get("timeout")
            .and_then(crate::flags::parse_duration)
            .filter(|asked| !asked.is_zero())
            .map_or(self.request_timeout, |asked| {
                asked.min(self.request_timeout)
            });
        match timeout(limit, self.known(call, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(StatusError::timeout(
                format_args!("request did not complete within the allotted timeout"),
                0,
            )),
        }
    }

    /// Who asks, and whether they may.
    async fn known(self: &Arc<Self>, arrived: Arrived<'_>, body: Incoming) -> Answer {
        let info = arrived.info;
        let peer = arrived.peer;
        let user = self
            .identity
            .caller(arrived.headers, &peer.certificates, &info.path)
            .map_err(|e| {
                tracing::debug!(address = %peer.address, "refused: {e}");
                StatusError::new(401, Reason::Unauthorized, "Unauthorized")
            })?;
        let terms = requirements(arrived.query.get("fieldSelector").unwrap_or_default());
        let attributes = attributes(&user, info, &terms);
        let acting = identity::acting(&attributes, arrived.headers, &*self.authorizer)?;
        let user = acting.as_ref().unwrap_or(&user);
        let attributes = Attributes { user, ..attributes };
        let verdict = self.authorizer.authorize(&attributes);
        if !verdict.allowed() {
            let resource = GroupResource::new(attributes.group, attributes.resource);
            let mut refused = StatusError::forbidden(resource, attributes.name, "");
            refused.message = forbidden_message(&attributes, &verdict.reason);
            return Err(refused);
        }
        let call = Call {
            method: arrived.method,
            info,
            query: arrived.query,
            headers: arrived.headers,
            user,
        };
        self.dispatch(&call, body).await
    }

    async fn dispatch(self: &Arc<Self>, call: &Call<'_>, body: Incoming) -> Answer {
        if call.info.target.is_some() {
            let mut response = self.registry.answer(call, body).await?;
            self.publish_warnings(&mut response);
            return Ok(response);
        }
        if !matches!(call.method, Method::GET | Method::HEAD) {
            return Err(StatusError::unknown_path());
        }
        let path = call.info.path.trim_end_matches('/');
        let readable = accepted(call.headers).unwrap_or(Accepted::JSON);
        if let Some(answer) =
            pages::discovery(path, call.headers, readable, &self.address.to_string())
        {
            return answer;
        }
        if path.starts_with("/openapi/") {
            return pages::openapi(path, call.headers, call.query.get("hash"));
        }
        match path {
            "" => Ok(answer::value(StatusCode::OK, &pages::roots(), readable)),
            "/version" => {
                // Always for people, as upstream's.
                let readable = Accepted {
                    pretty: true,
                    ..readable
                };
                Ok(answer::value(StatusCode::OK, &pages::version(), readable))
            }
            "/metrics" => Ok(answer::text(StatusCode::OK, self.metrics.page())),
            "/openid/v1/jwks" => self.identity.jwks(),
            "/.well-known/openid-configuration" => self.identity.openid_configuration(),
            _ => match self.health.page(path, call.query) {
                Some(response) => Ok(response),
                None => Err(StatusError::unknown_path()),
            },
        }
    }

    /// Texts that the registry collected under a private header become warnings as RFC 7234 wants them.
    fn publish_warnings(&self, response: &mut Response<Body>) {
        let Some(warnings) = response.extensions_mut().remove::<Warnings>() else {
            return;
        };
        for text in warnings.0 {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
                response.headers_mut().append(WARNING, value);
            }
        }
    }
}

/// Upstream warns of some resources whatever is asked of them, and before it warns of anything else.
fn warn_of_deprecation(info: &Info, response: &mut Response<Body>) {
    let target = info.target.as_ref();
    let resource = target.and_then(|target| {
        mainstay_schema::resource(&target.group, &target.version, &target.resource)
    });
    if let Some(text) = resource.and_then(mainstay_kinds::deprecation)
        && let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\""))
    {
        response.headers_mut().append(WARNING, value);
    }
}

/// What a client should know although its request succeeded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warnings(pub(crate) Vec<String>);

/// A request whose caller is not known yet.
struct Arrived<'a> {
    method: Method,
    info: &'a Info,
    query: &'a Query<'a>,
    headers: &'a HeaderMap,
    peer: &'a Peer,
}

/// The form of everything that is no object: `None` if nothing on offer is accepted.
fn accepted(headers: &HeaderMap) -> Option<Accepted> {
    let header = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let offer = Offer {
        protobuf: false,
        yaml: true,
        forms: false,
    };
    negotiate(header, offer)
}

/// What authorization is asked.
fn attributes<'a>(
    user: &'a UserInfo,
    info: &'a Info,
    terms: &'a [FieldRequirement],
) -> Attributes<'a> {
    let Some(target) = &info.target else {
        return Attributes::path(user, info.verb, &info.path);
    };
    let by_name = terms
        .iter()
        .find(|term| term.equal && term.field == "metadata.name");
    let name = match (target.name.as_str(), by_name) {
        ("", Some(term)) => term.value.as_str(),
        (name, _) => name,
    };
    Attributes {
        version: &target.version,
        subresource: &target.subresource,
        namespace: &target.namespace,
        name,
        field_selector: terms,
        path: &info.path,
        ..Attributes::resource(user, info.verb, &target.group, &target.resource)
    }
}

/// The terms of a field selector, as far as authorization looks at them. What cannot be read is refused later, by
/// who must read it.
fn requirements(selector: &str) -> Vec<FieldRequirement> {
    let term = |text: &str| {
        let (field, value, equal) = if let Some((field, value)) = text.split_once("!=") {
            (field, value, false)
        } else {
            let (field, value) = text.split_once('=')?;
            (field, value.strip_prefix('=').unwrap_or(value), true)
        };
        Some(FieldRequirement {
            field: field.to_owned(),
            equal,
            value: value.to_owned(),
        })
    };
    selector.split(',').filter_map(term).collect()
}

fn request_id() -> HeaderValue {
    let text = mainstay_machinery::meta::generate_uid(&mut rand::rng());
    HeaderValue::from_str(&text).expect("hexadecimal digits and dashes")
}
