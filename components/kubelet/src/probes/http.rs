//! HTTP requests of probes and hooks.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;

use super::tls::connector;
use crate::limits::{PROBE_BODY_BYTES_MAX, PROBE_REDIRECTS_MAX};

/// A GET to a container.
#[derive(Clone, Debug)]
pub struct Fetch {
    tls: bool,
    host: String,
    port: u16,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Fetch {
    /// What an action of a container of a pod with this address asks for.
    ///
    /// # Errors
    /// If it names a port that the container does not have, or headers that are none.
    pub fn of(
        action: &HTTPGetAction,
        container: &Container,
        address: &str,
    ) -> Result<Self, String> {
        let mut headers = Vec::new();
        for given in action.http_headers.iter().flatten() {
            let name = HeaderName::from_bytes(given.name.as_bytes());
            let value = HeaderValue::from_str(&given.value);
            match (name, value) {
                (Ok(name), Ok(value)) => headers.push((name, value)),
                _ => return Err(format!("{:?} is no header", given.name)),
            }
        }
        let path = action.path.as_deref().unwrap_or("/");
        let slash = if path.starts_with('/') { "" } else { "/" };
        let host = action.host.as_deref().filter(|host| !host.is_empty());
        Ok(Self {
            tls: action
                .scheme
                .as_deref()
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
            host: host.unwrap_or(address).to_owned(),
            port: port(&action.port, container)?,
            path: format!("{slash}{path}"),
            headers,
        })
    }

    /// Follows a redirection; `None` if it leads to another host.
    fn redirected(&self, location: &str) -> Option<Self> {
        let uri: Uri = location.parse().ok()?;
        let mut next = self.clone();
        if let Some(host) = uri.host() {
            if host.trim_matches(['[', ']']) != self.host {
                return None;
            }
            next.tls = uri.scheme_str() == Some("https");
            next.port = uri.port_u16().unwrap_or(if next.tls { 443 } else { 80 });
        }
        next.path = uri.path_and_query()?.as_str().to_owned();
        Some(next)
    }
}

/// A port by number, or by its name in the container.
pub(super) fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            let named = ports.find(|port| port.name.as_ref() == Some(name));
            named
                .map(|port| port.container_port)
                .or_else(|| name.parse().ok())
        }
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("there is no port {port:?}"))
}

/// Asks; the status and the beginning of the body. Redirections to the same host are followed.
///
/// # Errors
/// Why there was no answer.
pub async fn fetch(target: &Fetch, patience: Duration) -> Result<(StatusCode, String), String> {
    let asked = async {
        let mut target = target.clone();
        for _ in 0..PROBE_REDIRECTS_MAX {
            let (status, body, location) = once(&target).await?;
            let next = match status.is_redirection() {
                true => location.and_then(|location| target.redirected(&location)),
                false => None,
            };
            match next {
                Some(next) => target = next,
                None => return Ok((status, body)),
            }
        }
        Err(format!("stopped after {PROBE_REDIRECTS_MAX} redirects"))
    };
    match timeout(patience, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(
            "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned(),
        ),
    }
}

type Answer = (StatusCode, String, Option<String>);

async fn once(target: &Fetch) -> Result<Answer, String> {
    let address = (target.host.as_str(), target.port);
    let stream = TcpStream::connect(address).await;
    let stream =
        stream.map_err(|error| format!("dial tcp {}:{}: {error}", target.host, target.port))?;
    if !target.tls {
        return ask(stream, target).await;
    }
    let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
    let connector = connector().map_err(|error| error.to_string())?;
    let stream = connector.connect(name, stream).await;
    ask(stream.map_err(|error| format!("tls: {error}"))?, target).await
}

async fn ask<S>(stream: S, target: &Fetch) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let words = |error: &dyn std::error::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| words(&error))?;
    let mut request = Request::get(&target.path);
    let given = |name: &HeaderName| target.headers.iter().any(|(given, _)| given == name);
    if !given(&header::HOST) {
        request = request.header(header::HOST, authority(target));
    }
    if !given(&header::USER_AGENT) {
        request = request.header(header::USER_AGENT, "kube-probe/1.36");
    }
    if !given(&header::ACCEPT) {
        request = request.header(header::ACCEPT, "*/*");
    }
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| words(&error))?;
    let exchange = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| words(&error))?;
        let status = answer.status();
        let location = answer.headers().get(header::LOCATION);
        let location = location
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        // A body that is too long or breaks off still was an answer.
        let body = Limited::new(answer.into_body(), PROBE_BODY_BYTES_MAX)
            .collect()
            .await;
        let body = body
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        Ok((
            status,
            String::from_utf8_lossy(&body).into_owned(),
            location,
        ))
    };
    tokio::pin!(exchange);
    tokio::pin!(connection);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(words(&error)),
        },
    }
}

fn authority(target: &Fetch) -> String {
    let host = match target.host.contains(':') {
        true => format!("[{}]", target.host),
        false => target.host.clone(),
    };
    format!("{host}:{}", target.port)
}
