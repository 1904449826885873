//! What is at which path.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::guard::{Guard, PATIENCE};
use super::health::Health;
use crate::metrics::Metrics;

/// The Kubernetes whose components these are.
const RELEASE: &str = "v1.36.2";

/// What this is a release of, as versions have it: `v1.36.2+mainstay.0.1.0`.
#[must_use]
pub fn release() -> String {
    format!("{RELEASE}+mainstay.{}", env!("CARGO_PKG_VERSION"))
}

/// The pages of one component.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) config: Arc<Config>,
    /// None where everybody may see everything.
    pub(crate) guard: Option<Guard>,
}

/// What `/configz` shows.
pub(crate) struct Config(pub(crate) Value);

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}

type Answer = Response<Full<Bytes>>;

impl Pages {
    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Answer {
        let path = request.uri().path();
        let verb = match *request.method() {
            Method::GET => "get",
            Method::HEAD => "head",
            Method::POST => "post",
            Method::PUT => "put",
            Method::DELETE => "delete",
            _ => "other",
        };
        if let Some(guard) = &self.guard {
            let judged = guard.judge(verb, path, bearer(&request));
            match timeout(PATIENCE, judged).await {
                Ok(Ok(())) => {}
                Ok(Err((code, why))) => return refusal(code, &why),
                Err(_) => return refusal(StatusCode::GATEWAY_TIMEOUT, "no verdict in time"),
            }
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
            let headers = answer.headers_mut();
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        self.page(path, request.uri().query().unwrap_or_default())
    }

    fn page(&self, path: &str, query: &str) -> Answer {
        if let Some(page) = self.health.page(path, query) {
            let code = match page.ok {
                true => StatusCode::OK,
                false => StatusCode::INTERNAL_SERVER_ERROR,
            };
            return text(code, page.text);
        }
        match path {
            "/metrics" => {
                let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                whole(StatusCode::OK, media, self.metrics.text())
            }
            "/configz" => value(StatusCode::OK, &self.config.0),
            "/version" => value(StatusCode::OK, &version()),
            _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }
}

fn bearer<B>(request: &Request<B>) -> Option<&str> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "gitVersion": release(),
        "gitCommit": option_env!("MAINSTAY_COMMIT").unwrap_or("unknown"),
        "gitTreeState": "clean",
        "buildDate": option_env!("MAINSTAY_BUILD_DATE").unwrap_or("1970-01-01T00:00:00Z"),
        "goVersion": "none (rust)",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }),
    })
}

fn refusal(code: StatusCode, why: &str) -> Answer {
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": why,
        "reason": code.canonical_reason().unwrap_or_default().replace(' ', ""),
        "code": code.as_u16(),
    });
    value(code, &status)
}

fn value(code: StatusCode, value: &Value) -> Answer {
    whole(code, "application/json", value.to_string())
}

fn text(code: StatusCode, text: impl Into<Bytes>) -> Answer {
    whole(code, "text/plain; charset=utf-8", text)
}

fn whole(code: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = code;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    let nosniff = HeaderName::from_static("x-content-type-options");
    headers.insert(nosniff, HeaderValue::from_static("nosniff"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn code(method: Method, path: &str) -> u16 {
        let pages = Pages {
            health: Health::default(),
            metrics: Metrics::default(),
            config: Arc::new(Config(json!({}))),
            guard: None,
        };
        let request = Request::builder().method(method).uri(path).body(());
        let answer = pages.answer(request.expect("it is a request")).await;
        answer.status().as_u16()
    }

    #[tokio::test]
    async fn pages_are_where_upstream_has_them() {
        for path in [
            "/healthz",
            "/livez",
            "/readyz",
            "/healthz/ping",
            "/metrics",
            "/configz",
            "/version",
        ] {
            assert_eq!(code(Method::GET, path).await, 200, "{path}");
        }
        assert_eq!(code(Method::GET, "/").await, 404);
        assert_eq!(code(Method::POST, "/metrics").await, 405);
    }

    #[test]
    fn tokens_are_read_from_the_header() {
        let with = |value: &'static str| {
            let mut request = Request::new(());
            let header = HeaderValue::from_static(value);
            request.headers_mut().insert(AUTHORIZATION, header);
            bearer(&request).map(str::to_owned)
        };
        assert_eq!(with("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(with("bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(with("Basic abc"), None);
        assert_eq!(with("Bearer "), None);
        assert_eq!(bearer(&Request::new(())), None);
    }
}
