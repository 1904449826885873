//! Documents that describe the API: discovery, OpenAPI, the version.

use http::header::{ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{HeaderMap, Response, StatusCode};
use mainstay_machinery::status::StatusError;
use mainstay_schema::discovery::{self, AggregatedVersion, Root};
use mainstay_schema::{Document, openapi};
use serde_json::{Value, json};

use crate::answer::{self, Answer};
use crate::body::Body;
use crate::request::Accepted;

/// The release whose API is served.
const MAJOR: &str = "1";
const MINOR: &str = "36";
const RELEASE: &str = "v1.36.2";

/// `/version`.
pub(crate) fn version() -> Value {
    json!({
        "major": MAJOR,
        "minor": MINOR,
        "emulationMajor": MAJOR,
        "emulationMinor": MINOR,
        "minCompatibilityMajor": MAJOR,
        "minCompatibilityMinor": "35",
        "gitVersion": format!("{RELEASE}+mainstay.{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": option_env!("MAINSTAY_COMMIT").unwrap_or("unknown"),
        "gitTreeState": "clean",
        "buildDate": option_env!("MAINSTAY_BUILD_DATE").unwrap_or("1970-01-01T00:00:00Z"),
        "goVersion": "none (rust)",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, arch()),
    })
}

/// `/`: what there is beside the API itself.
pub(crate) fn roots() -> Value {
    let mut paths = vec![
        "/.well-known/openid-configuration".to_owned(),
        "/api".to_owned(),
        "/api/v1".to_owned(),
        "/apis".to_owned(),
    ];
    let groups = discovery::api_group_list();
    let groups = groups["groups"].as_array();
    for group in groups.into_iter().flatten() {
        paths.extend(group["name"].as_str().map(|name| format!("/apis/{name}")));
        let versions = group["versions"].as_array().into_iter().flatten();
        let names = versions.filter_map(|version| version["groupVersion"].as_str());
        paths.extend(names.map(|name| format!("/apis/{name}")));
    }
    let others = [
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
    ];
    paths.extend(others.map(str::to_owned));
    paths.extend(["/openid/v1/jwks", "/readyz", "/version"].map(str::to_owned));
    paths.sort_unstable();
    json!({ "paths": paths })
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Discovery under `/api` and `/apis`; `None` for paths that are none of it. `address` is where clients reach this
/// server.
pub(crate) fn discovery(
    path: &str,
    headers: &HeaderMap,
    accepted: Accepted,
    address: &str,
) -> Option<Answer> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let plain = match parts.as_slice() {
        ["api"] | ["apis"] => {
            let root = match parts[0] {
                "api" => Root::Core,
                _ => Root::Groups,
            };
            if let Some(version) = aggregated_version(headers) {
                return Some(Ok(aggregated(root, version, headers)));
            }
            Some(match root {
                Root::Core => discovery::api_versions(address),
                Root::Groups => discovery::api_group_list(),
            })
        }
        ["api", version] => discovery::api_resource_list("", version),
        ["apis", group] => discovery::api_group(group),
        ["apis", group, version] => discovery::api_resource_list(group, version),
        _ => return None,
    };
    let refused = || match parts.as_slice() {
        // Of a group that is not there upstream's library says nothing.
        ["apis", ..] => unknown(path),
        _ => Err(StatusError::unknown_path()),
    };
    Some(match plain {
        Some(document) => {
            let mut response = answer::value(StatusCode::OK, &document, accepted);
            if parts.len() == 1 {
                vary(&mut response);
            }
            Ok(response)
        }
        None => refused(),
    })
}

/// Whether a path is that of a document of the API.
pub(crate) fn is_document(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let discovery = matches!(
        parts.as_slice(),
        ["api"] | ["api", _] | ["apis", _, _] | ["version"]
    );
    discovery || path.starts_with("/openid/") || path.starts_with("/.well-known/")
}

/// What is answered for a path that nothing is at: within the API a Status, elsewhere a line of text.
pub(crate) fn unknown(path: &str) -> Answer {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_known = match parts.as_slice() {
        ["api", ..] | ["apis"] | ["version", ..] => true,
        ["apis", group, ..] => mainstay_schema::resources()
            .iter()
            .any(|resource| resource.group == *group),
        _ => false,
    };
    match is_known {
        true => Err(StatusError::unknown_path()),
        false => Ok(answer::page_not_found()),
    }
}

/// The newest aggregated form among those accepted, if any is.
fn aggregated_version(headers: &HeaderMap) -> Option<AggregatedVersion> {
    let accept = headers.get(http::header::ACCEPT)?.to_str().ok()?;
    accept.split(',').find_map(|clause| {
        let params: Vec<&str> = clause.split(';').map(str::trim).collect();
        let asked = params.contains(&"as=APIGroupDiscoveryList")
            && params.contains(&"g=apidiscovery.k8s.io")
            && params.first() == Some(&"application/json");
        let versions = [AggregatedVersion::V2, AggregatedVersion::V2Beta1];
        let named = |version: &AggregatedVersion| {
            params
                .iter()
                .any(|param| param.strip_prefix("v=") == Some(version.name()))
        };
        versions.into_iter().find(named).filter(|_| asked)
    })
}

fn aggregated(root: Root, version: AggregatedVersion, headers: &HeaderMap) -> Response<Body> {
    let media = format!(
        "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList",
        version.name()
    );
    let media = HeaderValue::from_str(&media).expect("names of versions are plain text");
    let mut response = document(discovery::aggregated(root, version), media, headers);
    vary(&mut response);
    response
}

fn vary(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
}

/// A document that the client may have already.
fn document(document: &Document, media: HeaderValue, headers: &HeaderMap) -> Response<Body> {
    let tag = document.etag();
    let known = headers
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = match known {
        true => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
        false => answer::whole(StatusCode::OK, media, document.body.clone()),
    };
    let tag = HeaderValue::from_str(&tag).expect("a hash is plain text");
    response.headers_mut().insert(ETAG, tag);
    response
}

/// `/openapi/…`.
pub(crate) fn openapi(path: &str, headers: &HeaderMap, hash: Option<&str>) -> Answer {
    let json = HeaderValue::from_static("application/json");
    let accept = headers
        .get(http::header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    if path == "/openapi/v2" {
        let protobuf = openapi::V2_PROTOBUF_ACCEPTED;
        let response = match protobuf.iter().any(|media| accept.contains(media)) {
            true => document(
                openapi::v2_protobuf(),
                HeaderValue::from_static(openapi::V2_PROTOBUF),
                headers,
            ),
            false => document(openapi::v2_json(), json, headers),
        };
        return Ok(response);
    }
    let Some(rest) = path.strip_prefix("/openapi/v3") else {
        return Err(StatusError::unknown_path());
    };
    let name = rest.trim_start_matches('/');
    if name.is_empty() {
        return Ok(document(openapi::v3_index(), json, headers));
    }
    let Some(found) = openapi::v3_document(name) else {
        return Err(StatusError::unknown_path());
    };
    let mut response = document(found, json, headers);
    // Under its hash it never changes.
    if hash == Some(found.hash.as_str()) {
        let headers = response.headers_mut();
        let forever = HeaderValue::from_static("public, immutable");
        headers.insert(http::header::CACHE_CONTROL, forever);
    }
    Ok(response)
}
