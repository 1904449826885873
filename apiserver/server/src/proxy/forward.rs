//! Passing a request on, and its answer back.

use std::sync::Arc;

use futures_util::StreamExt as _;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName,
    HeaderValue, LOCATION,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use mainstay_machinery::status::StatusError;

use super::backend::{Backend, Outgoing};
use super::headers;
use super::html::Pages;
use super::location::Location;
use super::relay::{Relayed, relayed};
use super::rewrite::Links;
use super::room::{Place, Room};
use super::upgrade::switch;
use crate::answer::Answer;
use crate::body::Body;
use crate::server::Call;
use crate::upload::Upload;

const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// A request, and where it is to go.
pub(crate) struct Passing<'a> {
    pub(crate) call: &'a Call<'a>,
    pub(crate) room: &'a Room,
    pub(crate) backend: Backend,
    pub(crate) location: Location,
}

/// Passes a request on, also one for another protocol, and rewrites links in what comes back.
pub(crate) async fn pass_on(mut passing: Passing<'_>, body: Upload) -> Answer {
    let call = passing.call;
    let query = call.uri.query().unwrap_or_default();
    passing.location.query = query.to_owned();
    if headers::is_upgrade(call.headers) {
        return switch(passing).await;
    }
    let reads = matches!(call.method, Method::GET | Method::HEAD);
    if passing.location.path.is_empty() && reads {
        return Ok(with_slash(&call.info.path, query));
    }
    let place = passing.room.enter()?;
    let links = links(&passing);
    let request = request(&passing, &links, body)?;
    let response = passing.backend.send(request).await.map_err(unreachable)?;
    let (mut head, body) = response.into_parts();
    headers::remove_hop(&mut head.headers);
    headers::remove_cors(&mut head.headers);
    let pieces = relayed(body, passing.room, place);
    let is_page = rewrite(&mut head.headers, &links);
    let pieces: Relayed = match is_page && call.method != Method::HEAD {
        true => pages(pieces, links),
        false => pieces,
    };
    Ok(Response::from_parts(head, Body::Relayed(pieces)))
}

/// Relative links of a page need a path that ends in a slash.
fn with_slash(path: &str, query: &str) -> Response<Body> {
    let query = match query {
        "" => String::new(),
        query => format!("?{query}"),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    let location = Location {
        path: format!("{path}/"),
        ..Location::default()
    };
    let target = format!("{}{query}", location.escaped_path());
    if let Ok(target) = HeaderValue::from_str(&target) {
        response.headers_mut().insert(LOCATION, target);
    }
    response
}

fn links(passing: &Passing<'_>) -> Links {
    let (call, location) = (passing.call, &passing.location);
    let path = call.info.path.as_str();
    let prefix = path.strip_suffix(location.path.as_str()).unwrap_or(path);
    Links {
        prefix: prefix.to_owned(),
        behind: location.authority(),
        here: headers::host(call.headers, call.uri)
            .unwrap_or_default()
            .to_owned(),
    }
}

fn request(
    passing: &Passing<'_>,
    links: &Links,
    body: Upload,
) -> Result<Request<Outgoing>, StatusError> {
    let call = passing.call;
    let uri = passing.location.uri().map_err(unreachable)?;
    let mut passed = headers::of_request(call.headers);
    headers::remove_hop(&mut passed);
    headers::add_forwarded_for(&mut passed, call.peer.ip());
    let whole = format!("{}{}", links.prefix, passing.location.escaped_path());
    insert(&mut passed, FORWARDED_URI, &whole);
    insert(&mut passed, HOST, &links.here);
    let accept = passed.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        // Links can only be rewritten in what is not compressed.
        passed.remove(ACCEPT_ENCODING);
    }
    let mut request = Request::new(Outgoing::Upload(body));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = passed;
    Ok(request)
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text)
        && !text.is_empty()
    {
        headers.insert(name, value);
    }
}

fn unreachable(why: impl std::fmt::Display) -> StatusError {
    StatusError::service_unavailable(format!("error trying to reach service: {why}"))
}

/// Rewrites the link of a head. Whether there may be more of them in a page.
fn rewrite(headers: &mut HeaderMap, links: &Links) -> bool {
    let text = |headers: &HeaderMap, name: HeaderName| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    if let Some(link) = text(headers, LOCATION).filter(|link| !link.is_empty()) {
        insert(headers, LOCATION, &links.rewrite(&link));
        return false;
    }
    let media = text(headers, CONTENT_TYPE).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    let is_page = media == "text/html" && !headers.contains_key(CONTENT_ENCODING);
    if is_page {
        headers.remove(CONTENT_LENGTH);
    }
    is_page
}

/// Pages whose links are rewritten as they come.
fn pages(pieces: Relayed, links: Links) -> Relayed {
    let links = Arc::new(links);
    let first = Some((pieces, Pages::default()));
    let rewritten = futures_util::stream::unfold(first, move |state| {
        let links = Arc::clone(&links);
        async move {
            let (mut pieces, mut pages) = state?;
            let link = |link: &str| links.rewrite(link);
            Some(match pieces.next().await {
                Some(Ok(piece)) => (Ok(pages.next(&piece, &link)), Some((pieces, pages))),
                Some(Err(e)) => (Err(e), None),
                None => (Ok(pages.rest()), None),
            })
        }
    });
    let filled = rewritten.filter(|piece| {
        let is_empty = piece.as_ref().is_ok_and(bytes::Bytes::is_empty);
        std::future::ready(!is_empty)
    });
    Box::pin(filled)
}

/// Passes an answer on as it is.
pub(super) fn as_it_is(response: Response<Incoming>, room: &Room, place: Place) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    headers::remove_hop(&mut head.headers);
    Response::from_parts(head, Body::Relayed(relayed(body, room, place)))
}
