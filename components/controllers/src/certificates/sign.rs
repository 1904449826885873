//! Signs what was approved, for the signers of Kubernetes itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::PostParams;
use mainstay_client::{Informer, Key, Queue, unless_gone};

use super::authority::{Authority, life};
use super::conditions::{has, has_failed, issued, with};
use super::request::{Request, Unreadable};
use super::rules::Signer;
use crate::context::Context;
use crate::limits::CSR_WORKERS;

/// Issues certificates. Without a CA in the options there is nothing to do.
pub async fn sign_certificates(cx: Context) {
    if !cx.options.signing.any() {
        return std::future::pending().await;
    }
    let controller = Arc::new(Controller {
        requests: cx.informers.of(),
        queue: cx.queue("certificate_signing"),
        cx,
    });
    controller.run().await;
}

struct Controller {
    cx: Context,
    requests: Arc<Informer<CertificateSigningRequest>>,
    queue: Queue<Key>,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Server(#[from] kube::Error),
    #[error("unable to parse csr: {0}")]
    Unreadable(#[from] Unreadable),
    #[error("error auto signing csr: {0}")]
    Signing(String),
}

impl Controller {
    async fn run(self: Arc<Self>) {
        self.requests.names_into(&self.queue);
        self.requests.synced().await;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        self.queue.work_for(&self, CSR_WORKERS, work).await;
    }

    async fn sync(&self, key: &Key) -> Result<Option<Duration>, Failed> {
        let Some(request) = self.requests.cache().get(key) else {
            return Ok(None);
        };
        let Some(signer) = Signer::of(&request.spec.signer_name) else {
            return Ok(None);
        };
        let Some((cert, key_file)) = self.cx.options.signing.files(signer) else {
            return Ok(None);
        };
        let approved = has(&request, "Approved") && !has(&request, "Denied");
        if !approved || issued(&request).is_some() || has_failed(&request) {
            return Ok(None);
        }
        let asked = Request::from_pem(&request.spec.request.0)?;
        let usages = request.spec.usages.clone().unwrap_or_default();
        if let Err(why) = signer.check(&asked, &usages) {
            self.write(&refused(&request, why)).await?;
            return Ok(None);
        }
        let most = self.cx.options.signing.cluster_signing_duration;
        let life = life(request.spec.expiration_seconds, most);
        let (cert, key_file) = (cert.clone(), key_file.clone());
        // Files are read, and large keys take their time.
        let signing = tokio::task::spawn_blocking(move || {
            let authority = Authority::read(&cert, &key_file)?;
            authority.sign(&asked, &usages, life, Timestamp::now())
        });
        let certificate = signing
            .await
            .map_err(|error| Failed::Signing(error.to_string()))?
            .map_err(Failed::Signing)?;
        let mut signed = CertificateSigningRequest::clone(&request);
        let status = signed.status.get_or_insert_default();
        status.certificate = Some(ByteString(certificate.into_bytes()));
        self.write(&signed).await?;
        Ok(None)
    }

    /// With the resourceVersion of the cache: what is decided by an older state is a conflict.
    async fn write(&self, request: &CertificateSigningRequest) -> kube::Result<()> {
        let name = request.metadata.name.as_deref().unwrap_or_default();
        let api: Api<CertificateSigningRequest> = Api::all(self.cx.client.clone());
        unless_gone(
            api.replace_status(name, &PostParams::default(), request)
                .await,
        )?;
        Ok(())
    }
}

fn refused(request: &CertificateSigningRequest, why: String) -> CertificateSigningRequest {
    with(
        request,
        CertificateSigningRequestCondition {
            type_: "Failed".to_owned(),
            status: "True".to_owned(),
            reason: Some("SignerValidationFailure".to_owned()),
            message: Some(why),
            last_update_time: Some(Time(Timestamp::now())),
            last_transition_time: None,
        },
    )
}
