//! Credentials that change while they are used, before a server that says whose certificate it was shown.

use std::convert::Infallible;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType,
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::figures::Figures;
use super::identity::Identity;
use super::open::AccessOptions;
use super::servers::Servers;
use super::transport::{Times, Transport, Who};
use crate::metrics::Metrics;

const SOON: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("signed")
}

/// Certificate and key.
fn pair(authority: &Authority) -> (String, String) {
    let mut params = CertificateParams::default();
    let loopback = IpAddr::from([127, 0, 0, 1]);
    params.subject_alt_names = vec![SanType::IpAddress(loopback)];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("signed");
    (certificate.pem(), key.serialize_pem())
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

/// Serves for as long as the test lasts; its URL.
async fn server(authority: &Authority) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(der(&authority.pem())).expect("an authority");
    let provider = Arc::new(default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = verifier.build().expect("a verifier");
    let (certificate, key) = pair(authority);
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![der(&certificate)], key)
        .expect("a pair");
    let tls = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(tls.clone(), stream));
        }
    });
    url
}

/// Says the certificate that was shown, as bytes. A watch goes on after that, in silence.
async fn serve(tls: TlsAcceptor, stream: TcpStream) {
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().expect("it is asked for")[0].to_vec();
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let shown = Bytes::from(shown.clone());
        let watch = request
            .uri()
            .query()
            .is_some_and(|query| query.contains("watch=true"));
        let body = match watch {
            false => Full::new(shown).boxed(),
            true => {
                let first = stream::iter([Ok::<_, Infallible>(Frame::data(shown))]);
                let all = futures_util::StreamExt::chain(first, stream::pending());
                BodyExt::boxed(StreamBody::new(all))
            }
        };
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

struct Client {
    folder: TempDir,
    identity: Arc<Identity>,
    transport: Transport,
}

impl Client {
    async fn new(url: &str, authority: &Authority, own: &(String, String)) -> Self {
        let folder = TempDir::new().expect("a folder");
        write(folder.path(), "ca", &authority.pem());
        write(folder.path(), "cert", &own.0);
        write(folder.path(), "key", &own.1);
        // Relative to the file.
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: k, user: u}}}}], \
             clusters: [{{name: k, cluster: {{server: '{url}', certificate-authority: ca}}}}], \
             users: [{{name: u, user: {{client-certificate: cert, client-key: key}}}}]}}"
        );
        write(folder.path(), "kubeconfig", &text);
        let options = AccessOptions {
            kubeconfig: Some(folder.path().join("kubeconfig")),
            ..AccessOptions::default()
        };
        let identity = Arc::new(Identity::of(&options).await.expect("readable"));
        assert!(identity.has_files());
        tokio::spawn(Identity::follow(Arc::downgrade(&identity), LOOK));
        let servers = Servers::new(&[url.parse().expect("a URL")]).expect("one");
        let times = Times {
            connect: SOON,
            head: SOON,
        };
        let transport = Transport::new(
            Arc::clone(&identity),
            Who::Own,
            Arc::new(servers),
            Figures::new(&Metrics::default()),
            times,
            None,
        );
        Self {
            transport: transport.expect("usable"),
            folder,
            identity,
        }
    }

    fn write(&self, name: &str, text: &str) {
        write(self.folder.path(), name, text);
    }

    /// Until other credentials count than those of this number.
    async fn changed(&self, number: u64) {
        let changes = async {
            while self.identity.current().number == number {
                tokio::time::sleep(LOOK).await;
            }
        };
        timeout(SOON, changes).await.expect("they are seen");
    }

    async fn shown(&self) -> Option<Vec<u8>> {
        let request = Request::get("/").body(Body::empty()).expect("a request");
        let answer = self.transport.send(request).await.ok()?;
        let body = answer.into_body().collect().await.ok()?;
        Some(body.to_bytes().to_vec())
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("written");
}

#[tokio::test]
async fn a_certificate_that_was_renewed_is_shown_and_watches_begin_anew() {
    let authority = authority();
    let url = server(&authority).await;
    let (old, new) = (pair(&authority), pair(&authority));
    let client = Client::new(&url, &authority, &old).await;
    assert_eq!(client.shown().await, Some(der(&old.0).to_vec()));
    let request = Request::get("/?watch=true").body(Body::empty());
    let watch = client.transport.send(request.expect("a request")).await;
    let mut watch = watch.expect("begun").into_body();
    let first = watch.frame().await.expect("there is one").expect("whole");
    assert_eq!(first.into_data().expect("data"), der(&old.0).to_vec());
    // A certificate without its key is none: the old one still counts.
    client.write("cert", &new.0);
    let refused = client.identity.look().await;
    refused.expect_err("it is not used");
    assert_eq!(client.identity.current().number, 0);
    assert_eq!(client.shown().await, Some(der(&old.0).to_vec()));
    client.write("key", &new.1);
    let end = timeout(SOON, watch.frame()).await.expect("it is cut");
    assert!(end.is_none(), "as if the server had ended it");
    assert_eq!(client.shown().await, Some(der(&new.0).to_vec()));
    // Nobody needs the credentials: nobody looks at the files.
    let identity = Arc::downgrade(&client.identity);
    drop((client, watch));
    let gone = async {
        while identity.strong_count() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    timeout(SOON, gone).await.expect("it ends");
}

#[tokio::test]
async fn an_authority_that_changes_is_trusted_from_then_on() {
    let (own, other) = (authority(), authority());
    let url = server(&own).await;
    let client = Client::new(&url, &own, &pair(&own)).await;
    assert!(client.shown().await.is_some());
    client.write("ca", &other.pem());
    client.changed(0).await;
    assert!(client.shown().await.is_none());
    client.write("ca", &format!("{}{}", other.pem(), own.pem()));
    client.changed(1).await;
    assert!(client.shown().await.is_some());
}
