//! What of a request's and an answer's head is passed on.

use std::net::IpAddr;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Uri};

/// Subprotocols that are tokens in disguise.
const BEARER: &str = "base64url.bearer.authorization.k8s.io.";
/// What belongs to one connection only.
const HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whether a request wants its connection for another protocol.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    words(headers, &CONNECTION).any(|word| word.to_ascii_lowercase().contains("upgrade"))
}

/// The words of a header that is a list.
pub(super) fn words<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let values = headers.get_all(name).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// A request's head without what only this server is to know: who asks, and for whom.
pub(super) fn of_request(headers: &HeaderMap) -> HeaderMap {
    let mut passed = headers.clone();
    passed.remove(AUTHORIZATION);
    let acting: Vec<HeaderName> = passed
        .keys()
        .filter(|name| name.as_str().starts_with("impersonate-"))
        .cloned()
        .collect();
    for name in acting {
        passed.remove(name);
    }
    let protocols: Vec<&str> = words(headers, &SEC_WEBSOCKET_PROTOCOL).collect();
    if protocols.iter().any(|name| name.starts_with(BEARER)) {
        let mut others = protocols;
        others.retain(|name| !name.starts_with(BEARER));
        passed.remove(SEC_WEBSOCKET_PROTOCOL);
        if let Ok(value) = HeaderValue::from_str(&others.join(", "))
            && !others.is_empty()
        {
            passed.insert(SEC_WEBSOCKET_PROTOCOL, value);
        }
    }
    passed
}

/// Takes out what belongs to one connection only.
pub(super) fn remove_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = words(headers, &CONNECTION)
        .filter_map(|word| word.parse().ok())
        .collect();
    let takes_trailers = words(headers, &TE).any(|word| word.eq_ignore_ascii_case("trailers"));
    for name in named.into_iter().chain(HOP) {
        headers.remove(name);
    }
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Says on whose behalf a request is passed on.
pub(super) fn add_forwarded_for(headers: &mut HeaderMap, client: IpAddr) {
    let mut all: Vec<&str> = words(headers, &FORWARDED_FOR).collect();
    let client = client.to_canonical().to_string();
    all.push(&client);
    if let Ok(value) = HeaderValue::from_str(&all.join(", ")) {
        headers.insert(FORWARDED_FOR, value);
    }
}

/// Pages of others must not loosen what browsers allow towards this server.
pub(super) fn remove_cors(headers: &mut HeaderMap) {
    for name in [
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN,
    ] {
        headers.remove(name);
    }
}

/// The host that a client asked.
pub(super) fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let header = headers.get(HOST).and_then(|host| host.to_str().ok());
    header.or(uri.authority().map(|authority| authority.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        pairs.collect()
    }

    #[test]
    fn who_asks_is_not_passed_on() {
        let headers = map(&[
            ("authorization", "Bearer secret"),
            ("impersonate-user", "somebody"),
            ("impersonate-extra-scopes", "all"),
            (
                "sec-websocket-protocol",
                "base64url.bearer.authorization.k8s.io.c2VjcmV0, v4.channel.k8s.io",
            ),
            ("cookie", "theirs"),
        ]);
        let expected = map(&[
            ("sec-websocket-protocol", "v4.channel.k8s.io"),
            ("cookie", "theirs"),
        ]);
        assert_eq!(of_request(&headers), expected);
    }

    #[test]
    fn what_belongs_to_a_connection_ends_with_it() {
        let mut headers = map(&[
            ("connection", "keep-alive, x-own"),
            ("keep-alive", "5"),
            ("x-own", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("accept", "*/*"),
        ]);
        remove_hop(&mut headers);
        assert_eq!(headers, map(&[("te", "trailers"), ("accept", "*/*")]));
    }

    #[test]
    fn the_client_comes_last_among_those_it_is_forwarded_for() {
        let mut headers = map(&[("x-forwarded-for", "10.0.0.1")]);
        add_forwarded_for(&mut headers, "::ffff:10.0.0.2".parse().unwrap());
        assert_eq!(headers, map(&[("x-forwarded-for", "10.0.0.1, 10.0.0.2")]));
    }
}
