//! Requests to an apiserver, byte for byte as a test wants them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::io;
use std::path::Path;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::http_get::{self, Answer};
use crate::limits::CALL_DEADLINE;
use crate::tls::ClientIdentity;

/// One apiserver, asked as somebody.
#[derive(Clone, Debug)]
pub struct Rest {
    port: u16,
    identity: ClientIdentity,
}

impl Rest {
    /// As the administrator of a folder of keys.
    pub fn new(port: u16, pki: &Path) -> Self {
        let read = |name: &str| std::fs::read_to_string(pki.join(name)).expect("a file of keys");
        let kubeconfig = read("admin.kubeconfig");
        let data = |key: &str| {
            let line = kubeconfig.lines().find_map(|line| {
                let (name, value) = line.trim().split_once(": ")?;
                (name == key).then_some(value)
            });
            let bytes = STANDARD.decode(line.expect("in every kubeconfig"));
            String::from_utf8(bytes.expect("base64")).expect("PEM is text")
        };
        let own = (data("client-certificate-data"), data("client-key-data"));
        Self {
            port,
            identity: ClientIdentity {
                ca: read("ca.crt"),
                own: Some(own),
            },
        }
    }

    /// As nobody in particular, or as somebody with a token in a header.
    pub fn without_certificate(&self) -> Self {
        let identity = ClientIdentity {
            own: None,
            ..self.identity.clone()
        };
        Self { identity, ..*self }
    }

    /// The same client, trusting another authority (PEM).
    pub fn trusting(&self, ca: &str) -> Self {
        let identity = ClientIdentity {
            ca: ca.to_owned(),
            ..self.identity.clone()
        };
        Self { identity, ..*self }
    }

    /// A connection.
    pub async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let name = "127.0.0.1".try_into().expect("an address is a server name");
        self.identity.connector().connect(name, stream).await
    }

    /// Sends a request and reads its answer. `head` is `METHOD PATH` and, on lines of their own, headers.
    pub async fn call(&self, head: &str, body: impl AsRef<[u8]>) -> Answer {
        let answer = self.try_call(head, body).await;
        answer.unwrap_or_else(|e| panic!("{head}: {e}"))
    }

    /// The same where there may be no answer.
    pub async fn try_call(&self, head: &str, body: impl AsRef<[u8]>) -> io::Result<Answer> {
        let body = body.as_ref();
        let (first, headers) = head.split_once('\n').unwrap_or((head, ""));
        let mut request = format!("{first} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for header in headers.lines() {
            request.push_str(header.trim());
            request.push_str("\r\n");
        }
        if !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        let exchange = async {
            let stream = self.connect().await?;
            http_get::send(stream, &bytes).await
        };
        let answered = timeout(CALL_DEADLINE, exchange).await;
        answered.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// The same with a JSON body and a JSON answer: its status code beside it.
    pub async fn json(&self, head: &str, body: &Value) -> (u16, Value) {
        let text = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let answer = match (head.starts_with("PATCH"), head.contains('\n')) {
            (true, false) => {
                let head = format!("{head}\nContent-Type: application/merge-patch+json");
                self.call(&head, text).await
            }
            _ => self.call(head, text).await,
        };
        let value = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
        (answer.status, value)
    }
}
