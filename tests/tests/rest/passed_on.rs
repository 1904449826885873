//! What is passed on to kubelets, of which one is played here: whom it is shown, and what comes back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mainstay_tests::Cluster;
use mainstay_tests::apiserver::Apiserver;
use mainstay_tests::rest::Rest;
use mainstay_tests::tls::Authority;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

const PATIENCE: Duration = Duration::from_secs(20);
const POD: &str = "/api/v1/namespaces/default/pods/p";

/// A kubelet that talks to nobody without a certificate of the cluster. Its port.
async fn kubelet(authority: &Authority, clients: &Path) -> u16 {
    let pair = authority.issue("kubelet");
    let read = |path: &Path| std::fs::read(path).unwrap();
    let mut roots = RootCertStore::empty();
    let trusted = CertificateDer::from_pem_slice(&read(clients)).unwrap();
    roots.add(trusted).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let roots = Arc::new(roots);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(&read(&pair.cert)).unwrap()],
            PrivateKeyDer::from_pem_slice(&read(&pair.key)).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = answer(stream).await;
                }
            });
        }
    });
    port
}

/// One request of a connection.
async fn answer(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let line = head.lines().next().unwrap();
    if line.starts_with("POST /exec/default/p/c?command=sh&input=1&output=1 ") {
        assert!(head.contains("\r\nupgrade: SPDY/3.1\r\n"), "{head}");
        assert!(!head.contains("authorization"), "{head}");
        let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nfirst";
        stream.write_all(switched.as_bytes()).await?;
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await?;
        stream.write_all(&bytes).await?;
        return stream.shutdown().await;
    }
    let (status, body) = match line {
        "GET /containerLogs/default/p/c?follow=true&tailLines=2 HTTP/1.1" => {
            ("200 OK", "one\ntwo\n")
        }
        "GET /containerLogs/default/p/c? HTTP/1.1" | "GET /containerLogs/default/p/c HTTP/1.1" => (
            "400 Bad Request",
            "container \"c\" in pod \"p\" is waiting to start: ContainerCreating",
        ),
        _ => ("404 Not Found", "nothing is here"),
    };
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

/// A node whose kubelet listens at a port, and a pod there.
async fn prepare(rest: &Rest, port: u16) {
    let created = async |path: &str, object: Value| {
        let head = format!("POST {path}\nContent-Type: application/json");
        let (code, answer) = rest.json(&head, &object).await;
        assert_eq!(code, 201, "{answer}");
    };
    created("/api/v1/nodes", json!({"metadata": {"name": "n"}})).await;
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }});
    let (code, answer) = rest.json("PATCH /api/v1/nodes/n/status", &status).await;
    assert_eq!(code, 200, "{answer}");
    let account = json!({"metadata": {"name": "default"}});
    created("/api/v1/namespaces/default/serviceaccounts", account).await;
    let pod = json!({"metadata": {"name": "p"},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}});
    created("/api/v1/namespaces/default/pods", pod).await;
}

#[tokio::test]
async fn kubelets_are_asked_with_a_certificate_and_answer_in_their_own_words() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let cluster = Cluster::start(1).await;
    let server = Apiserver::start(&cluster, None).await;
    let rest = server.rest();
    let port = kubelet(&authority, &server.pki().join("ca.crt")).await;
    prepare(&rest, port).await;
    let log = rest
        .call(&format!("GET {POD}/log?follow=true&tailLines=2"), "")
        .await;
    assert_eq!((log.status, log.body.as_str()), (200, "one\ntwo\n"));
    let (code, waits) = rest.json(&format!("GET {POD}/log"), &Value::Null).await;
    assert_eq!(
        (code, &waits["reason"]),
        (400, &json!("BadRequest")),
        "{waits}"
    );
    assert!(
        waits["message"]
            .as_str()
            .unwrap()
            .contains("is waiting to start")
    );
    let (code, none) = rest
        .json(&format!("GET {POD}/log?previous=true"), &Value::Null)
        .await;
    let message = "the server could not find the requested resource ( pods/log p)";
    assert_eq!((code, &none["message"]), (404, &json!(message)), "{none}");
    let (code, plain) = rest
        .json(
            &format!("POST {POD}/exec?command=sh&stdout=1"),
            &Value::Null,
        )
        .await;
    assert_eq!(
        (code, &plain["message"]),
        (400, &json!("Upgrade request required"))
    );
    // Nobody reaches this machine by way of a node that says it is here.
    let (code, own) = rest
        .json("GET /api/v1/nodes/n/proxy/healthz", &Value::Null)
        .await;
    assert_eq!(
        (code, &own["message"]),
        (400, &json!("address not allowed"))
    );
    streams(&rest).await;
}

async fn streams(rest: &Rest) {
    let mut stream = rest.connect().await.unwrap();
    let request = format!(
        "POST {POD}/exec?command=sh&stdin=true&stdout=true HTTP/1.1\r\nHost: localhost\r\n\
         Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n"
    );
    let exchange = async {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        stream.write_all(b"ping").await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        rest
    };
    let came = timeout(PATIENCE, exchange).await.unwrap();
    assert_eq!(came, b"firstping");
}

#[tokio::test]
async fn a_kubelet_of_another_authority_is_not_believed_unless_one_asks_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let other = tempfile::tempdir().unwrap();
    let trusted = Authority::new(other.path());
    let cluster = Cluster::start(1).await;
    let flag = format!(
        "--kubelet-certificate-authority={}",
        trusted.path().display()
    );
    let server = Apiserver::start_with(&cluster, None, &[&flag]).await;
    let rest = server.rest();
    let port = kubelet(&authority, &server.pki().join("ca.crt")).await;
    prepare(&rest, port).await;
    let log = format!("GET {POD}/log?follow=true&tailLines=2");
    let (code, refused) = rest.json(&log, &Value::Null).await;
    let text = refused["message"].as_str().unwrap_or_default();
    assert!(
        code == 500 && text.ends_with("x509: certificate signed by unknown authority"),
        "{refused}"
    );
    let insecure = format!("{log}&insecureSkipTLSVerifyBackend=true");
    let log = rest.call(&insecure, "").await;
    assert_eq!((log.status, log.body.as_str()), (200, "one\ntwo\n"));
}
