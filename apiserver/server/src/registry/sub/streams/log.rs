//! What a container has said.

use form_urlencoded::Serializer;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request as HttpRequest, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use jiff::{SignedDuration, Timestamp};
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::gofmt::quote;
use mainstay_machinery::status::{GroupKind, GroupResource, Reason, StatusError};

use super::super::super::dispatch::{Registry, Request};
use super::{container, node, node_of, pod};
use crate::answer::{self, Answer};
use crate::body::Body;
use crate::limits::KUBELET_FAILURE_BYTES_MAX;
use crate::proxy::{Outgoing, relayed};
use crate::request::Query;

pub(super) async fn answer(registry: &Registry, request: &Request<'_>) -> Answer {
    let query = request.call.query;
    let name = &request.target.name;
    let options = Options::parse(query)?;
    options.check(name)?;
    let pod = pod(registry, request, name).await?;
    let named = query.get("container").unwrap_or_default();
    let chosen = container::chosen(&pod, named).map_err(StatusError::bad_request)?;
    if node_of(&pod).is_empty() {
        // Nothing has run, so nothing was said.
        return Ok(answer::whole_empty(StatusCode::NO_CONTENT));
    }
    let kubelet = node::kubelet(registry, node_of(&pod)).await?;
    let namespace = &request.target.namespace;
    let path = format!("/containerLogs/{namespace}/{name}/{chosen}");
    let location = node::at(kubelet, path, options.query());
    let failed = |why: String| {
        let text = format!("Get {:?}: {why}", location.url());
        StatusError::new(500, Reason::Unknown, text)
    };
    let place = registry.room.enter()?;
    let mut asked = HttpRequest::new(Outgoing::Nothing);
    *asked.uri_mut() = location.uri().map_err(|e| failed(e.to_string()))?;
    let backend = registry
        .kubelets
        .backend(query.flag("insecureSkipTLSVerifyBackend"));
    let response = backend.send(asked).await;
    let response = response.map_err(|e| failed(e.to_string()))?;
    if response.status().is_redirection() && response.status() != StatusCode::NOT_MODIFIED {
        return Err(failed("redirects forbidden".to_owned()));
    }
    if !(200..=206).contains(&response.status().as_u16()) {
        return Err(failure(response, name).await);
    }
    let pieces = relayed(response.into_body(), &registry.room, place);
    let mut told = Response::new(Body::Relayed(pieces));
    let text = HeaderValue::from_static("text/plain");
    told.headers_mut().insert(CONTENT_TYPE, text);
    Ok(told)
}

/// What a kubelet refused, in its own words where upstream passes them on.
async fn failure(response: Response<Incoming>, name: &str) -> StatusError {
    let code = response.status().as_u16();
    let body = Limited::new(response.into_body(), KUBELET_FAILURE_BYTES_MAX);
    let text = match body.collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Err(e) if e.is::<LengthLimitError>() => String::new(),
        Err(e) => return StatusError::internal(e),
    };
    match code {
        500 => StatusError::internal(text),
        400 => StatusError::bad_request(text),
        _ => {
            let logs = GroupResource::new("", "pods/log");
            StatusError::from_http_code(code, "", logs, name, &text, false)
        }
    }
}

/// What of the log is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
struct Options {
    follow: bool,
    previous: bool,
    timestamps: bool,
    since_seconds: Option<i64>,
    since_time: Option<Timestamp>,
    tail_lines: Option<i64>,
    limit_bytes: Option<i64>,
    has_stream: bool,
}

impl Options {
    fn parse(query: &Query<'_>) -> Result<Self, StatusError> {
        let since_time = match query.get("sinceTime") {
            None | Some("" | "null") => None,
            Some(text) => Some(time(text)?),
        };
        Ok(Self {
            follow: query.flag("follow"),
            previous: query.flag("previous"),
            timestamps: query.flag("timestamps"),
            since_seconds: query.number("sinceSeconds")?,
            since_time,
            tail_lines: query.number("tailLines")?,
            limit_bytes: query.number("limitBytes")?,
            has_stream: query.get("stream").is_some_and(|text| !text.is_empty()),
        })
    }

    /// Refuses what upstream refuses.
    fn check(&self, name: &str) -> Result<(), StatusError> {
        let mut errors = ErrorList::default();
        if let Some(tail) = self.tail_lines.filter(|tail| *tail < 0) {
            let detail = "must be greater than or equal to 0";
            errors.push(Error::invalid(&Path::new("tailLines"), tail, detail));
        }
        if let Some(limit) = self.limit_bytes.filter(|limit| *limit < 1) {
            let detail = "must be greater than 0";
            errors.push(Error::invalid(&Path::new("limitBytes"), limit, detail));
        }
        match (self.since_seconds, self.since_time) {
            (Some(_), Some(_)) => {
                let detail = "at most one of `sinceTime` or `sinceSeconds` may be specified";
                errors.push(Error::forbidden(&Path::new(""), detail));
            }
            (Some(seconds), None) if seconds < 1 => {
                let detail = "must be greater than 0";
                errors.push(Error::invalid(&Path::new("sinceSeconds"), seconds, detail));
            }
            _ => {}
        }
        if self.has_stream {
            let detail = "may not be specified";
            errors.push(Error::forbidden(&Path::new("stream"), detail));
        }
        match errors.is_empty() {
            true => Ok(()),
            false => {
                let kind = GroupKind::new("", "PodLogOptions");
                Err(StatusError::invalid(kind, name, &errors))
            }
        }
    }

    /// For the kubelet, sorted.
    fn query(&self) -> String {
        let number = |number: Option<i64>| number.map(|number| number.to_string());
        let flag = |flag: bool| flag.then(|| "true".to_owned());
        let since = self.since_time.map(|time| {
            let part = i64::from(time.subsec_nanosecond());
            // Whole seconds, as Go writes them, cut off and not rounded.
            let part = if part < 0 { part + 1_000_000_000 } else { part };
            let whole = time.checked_sub(SignedDuration::from_nanos(part));
            whole.unwrap_or(time).to_string()
        });
        let mut pairs = Serializer::new(String::new());
        for (name, value) in [
            ("follow", flag(self.follow)),
            ("limitBytes", number(self.limit_bytes)),
            ("previous", flag(self.previous)),
            ("sinceSeconds", number(self.since_seconds)),
            ("sinceTime", since),
            ("tailLines", number(self.tail_lines)),
            ("timestamps", flag(self.timestamps)),
        ] {
            if let Some(value) = value {
                pairs.append_pair(name, &value);
            }
        }
        pairs.finish()
    }
}

fn time(text: &str) -> Result<Timestamp, StatusError> {
    // Where a space stands, there was a plus that nobody escaped.
    text.replace(' ', "+").parse().map_err(|_| {
        let text = quote(text);
        StatusError::bad_request(format!(
            "parsing time {text} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text} as \"2006\""
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(query: &str) -> Options {
        Options::parse(&Query::parse(Some(query))).unwrap()
    }

    #[test]
    fn all_options_reach_the_kubelet_in_order() {
        let all = "timestamps=true&tailLines=5&sinceSeconds=60&previous=true&limitBytes=10&follow=true&container=c";
        assert_eq!(
            options(all).query(),
            "follow=true&limitBytes=10&previous=true&sinceSeconds=60&tailLines=5&timestamps=true"
        );
        assert_eq!(options("follow=false").query(), "");
        let time = options("sinceTime=2024-01-02T03:04:05.678%2B01:00");
        assert_eq!(time.query(), "sinceTime=2024-01-02T02%3A04%3A05Z");
        assert_eq!(options("sinceTime=").query(), "");
    }

    #[test]
    fn options_that_upstream_refuses_are_refused() {
        let cases = [
            (
                "tailLines=-1",
                "tailLines: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "limitBytes=0",
                "limitBytes: Invalid value: 0: must be greater than 0",
            ),
            (
                "sinceSeconds=0",
                "sinceSeconds: Invalid value: 0: must be greater than 0",
            ),
            (
                "sinceSeconds=1&sinceTime=2024-01-02T03:04:05Z",
                "at most one of `sinceTime` or `sinceSeconds` may be specified",
            ),
            ("stream=Stdout", "stream: Forbidden: may not be specified"),
        ];
        for (query, expected) in cases {
            let refused = options(query).check("p").unwrap_err();
            assert_eq!((refused.code, refused.reason), (422, Reason::Invalid));
            assert!(refused.message.contains(expected), "{}", refused.message);
        }
        assert!(options("tailLines=0&limitBytes=1").check("p").is_ok());
        for query in ["tailLines=x", "sinceTime=yesterday"] {
            let refused = Options::parse(&Query::parse(Some(query))).unwrap_err();
            assert_eq!(refused.code, 400, "{query}");
        }
    }
}
