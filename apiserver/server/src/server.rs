//! A request's way: who asks, may they, is there room, what is it about.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{ACCEPT, HeaderValue, RETRY_AFTER, USER_AGENT, WARNING};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use mainstay_auth::{Attributes, Authorizer, FieldRequirement, UserInfo, forbidden_message};
use mainstay_machinery::gofmt::quote;
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
use crate::registry::{Registry, unknown_method};
use crate::request::{Accepted, Info, Offer, Query, is_for_people, negotiate};
use crate::serve::{Peer, Wish};
use crate::tls::Tls;
use crate::upload::Upload;

/// Everything that answers requests. Stateless but for caches: any number of servers stand side by side.
pub(crate) struct Server {
    pub(crate) registry: Arc<Registry>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) tls: Arc<Tls>,
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
    /// As it was sent.
    pub(crate) uri: &'a Uri,
    /// Whose connection it came over.
    pub(crate) peer: SocketAddr,
    /// The connection, if it can be had for another protocol.
    pub(crate) upgrade: Option<OnUpgrade>,
}

impl Server {
    /// Answers one request, whatever happens.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Response<Body> {
        let begun = std::time::Instant::now();
        let (mut parts, body) = request.into_parts();
        let (body, unread) = Upload::new(body, parts.version, &parts.headers);
        let upgrade = parts.extensions.get::<OnUpgrade>().cloned();
        let by_websocket = Wish::take(&mut parts);
        let query = Query::parse(parts.uri.query());
        let method = parts.method.clone();
        let info = Info::new(&method, parts.uri.path(), query.flag("watch"));
        let accepted = accepted(&parts.headers, &query);
        let mut response = match &info {
            Err(_) => answer::text(StatusCode::BAD_REQUEST, "400 Bad Request"),
            Ok(info) => {
                let call = Arrived {
                    method,
                    info,
                    query: &query,
                    headers: &parts.headers,
                    uri: &parts.uri,
                    peer: &peer,
                    upgrade,
                };
                match self.limited(call, body).await {
                    Ok(response) => response,
                    Err(e) => answer::failure(&e, accepted),
                }
            }
        };
        if let Some(wish) = by_websocket {
            response = wish.grant(response);
        }
        unread.let_go(&mut response);
        let headers = response.headers_mut();
        headers.insert("audit-id", request_id());
        answer::not_cached(&mut response);
        let may_close = parts.version < http::Version::HTTP_2
            && response.status() != StatusCode::SWITCHING_PROTOCOLS;
        if may_close && self.ending.load(Ordering::Relaxed) {
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
    async fn limited(self: &Arc<Self>, call: Arrived<'_>, body: Upload) -> Answer {
        if call.info.is_long_running() {
            return self.known(call, body).await;
        }
        let Ok(_permit) = self.inflight.enter(call.info.is_read_only()) else {
            self.metrics.rejected(call.info.is_read_only());
            let mut refused = answer::plain(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests, please try again later.",
            );
            let headers = refused.headers_mut();
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS.into());
            return Ok(refused);
        };
        let limit = self.time_limit(call.query)?;
        match timeout(limit, self.known(call, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(StatusError::timeout(
                format_args!("request did not complete within the allotted timeout"),
                0,
            )),
        }
    }

    /// Time for a request: what it asks for, if that is shorter.
    fn time_limit(&self, query: &Query<'_>) -> Result<Duration, StatusError> {
        let Some(text) = query.get("timeout").filter(|text| !text.is_empty()) else {
            return Ok(self.request_timeout);
        };
        let asked = crate::flags::duration(text).map_err(|_| {
            StatusError::bad_request(format!(
                "invalid timeout specified in the request URL - time: invalid duration {}",
                quote(text)
            ))
        })?;
        Ok(match asked.is_zero() {
            true => self.request_timeout,
            false => asked.min(self.request_timeout),
        })
    }

    /// Who asks, and whether they may.
    async fn known(self: &Arc<Self>, arrived: Arrived<'_>, body: Upload) -> Answer {
        let info = arrived.info;
        let peer = arrived.peer;
        let certificates = match self.tls.holds(&peer.verified) {
            true => &peer.verified.certificates[..],
            false => &[],
        };
        let user = self
            .identity
            .caller(arrived.headers, certificates, &info.path)
            .map_err(|e| {
                tracing::debug!(address = %peer.address, "refused: {e}");
                StatusError::new(401, Reason::Unauthorized, "Unauthorized")
            })?;
        // The deprecated paths are decided about without selectors, as upstream does.
        let selector = arrived.query.get("fieldSelector");
        let terms = requirements(selector.filter(|_| !info.by_prefix).unwrap_or_default());
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
            uri: arrived.uri,
            peer: peer.address,
            upgrade: arrived.upgrade,
        };
        self.dispatch(&call, body).await
    }

    async fn dispatch(self: &Arc<Self>, call: &Call<'_>, body: Upload) -> Answer {
        if call.info.target.is_some() {
            let deprecated = deprecation(call.info);
            let mut response = match (self.registry.answer(call, body).await, deprecated) {
                (Ok(response), _) => response,
                // That a kind is deprecated is said whatever became of the request.
                (Err(e), Some(_)) if e.code != StatusCode::METHOD_NOT_ALLOWED => {
                    answer::failure(&e, accepted(call.headers, call.query))
                }
                (Err(e), _) => return Err(e),
            };
            publish_warnings(&mut response, deprecated);
            return Ok(response);
        }
        let path = call.info.path.trim_end_matches('/');
        // As upstream, documents of the API are only read; other pages do not look at the method.
        if call.method != Method::GET && pages::is_document(path) {
            return Err(unknown_method());
        }
        let readable = accepted(call.headers, call.query);
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
                let (version, order) = (pages::version(), &answer::VERSION);
                Ok(answer::ordered(StatusCode::OK, &version, order, readable))
            }
            "/metrics" => Ok(answer::text(StatusCode::OK, self.metrics.page())),
            "/openid/v1/jwks" => self.identity.jwks(),
            "/.well-known/openid-configuration" => self.identity.openid_configuration(),
            _ => match self.health.page(path, call.query) {
                Some(response) => Ok(response),
                None => pages::unknown(path),
            },
        }
    }
}

/// What is said about every request for a kind that will go.
fn deprecation(info: &Info) -> Option<&'static str> {
    let target = info.target.as_ref()?;
    let resource = mainstay_schema::resource(&target.group, &target.version, &target.resource)?;
    mainstay_kinds::deprecation(resource)
}

/// Texts that the registry left in an extension of the response become warnings as RFC 7234 wants them.
fn publish_warnings(response: &mut Response<Body>, deprecated: Option<&str>) {
    let left = response.extensions_mut().remove::<Warnings>();
    let mut texts = left.unwrap_or_default().0;
    if let Some(text) = deprecated.filter(|text| !texts.iter().any(|own| own == text)) {
        texts.insert(0, text.to_owned());
    }
    for text in texts {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            response.headers_mut().append(WARNING, value);
        }
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
    uri: &'a Uri,
    peer: &'a Peer,
    upgrade: Option<OnUpgrade>,
}

/// Whether the client's answers are to be indented.
pub(crate) fn for_people(headers: &HeaderMap, query: &Query<'_>) -> bool {
    let agent = headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    is_for_people(query.get("pretty"), agent.unwrap_or_default())
}

/// The form of everything that is no object: JSON if nothing on offer is accepted.
fn accepted(headers: &HeaderMap, query: &Query<'_>) -> Accepted {
    let header = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let offer = Offer {
        protobuf: false,
        yaml: true,
        forms: false,
    };
    let mut accepted = negotiate(header, offer).unwrap_or(Accepted::JSON);
    accepted.pretty |= for_people(headers, query);
    accepted
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
