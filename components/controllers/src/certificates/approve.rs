//! Approves the requests of kubelets that may ask for what they ask for.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition,
};
use kube::Api;
use kube::api::PostParams;
use mainstay_client::{Informer, Key, Queue, unless_gone};

use super::conditions::{has, issued, with};
use super::request::{Request, Unreadable};
use super::rules::{Signer, kubelet_client};
use crate::context::Context;
use crate::limits::CSR_WORKERS;

/// Approves requests for client certificates of kubelets: of a node for itself, and of whoever may ask for any node's.
/// Who may is asked of the apiserver.
pub async fn approve_certificates(cx: Context) {
    let controller = Arc::new(Controller {
        requests: cx.informers.of(),
        queue: cx.queue("certificate_approving"),
        cx,
    });
    controller.run().await;
}

struct Controller {
    cx: Context,
    requests: Arc<Informer<CertificateSigningRequest>>,
    queue: Queue<Key>,
}

/// A way of being approved: what one must be allowed to create, and the text that says that one was.
struct Way {
    subresource: &'static str,
    message: &'static str,
}

const OWN: Way = Way {
    subresource: "selfnodeclient",
    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
};
const ANY: Way = Way {
    subresource: "nodeclient",
    message: "Auto approving kubelet client certificate after SubjectAccessReview.",
};

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Server(#[from] kube::Error),
    #[error("unable to parse csr: {0}")]
    Unreadable(#[from] Unreadable),
    /// May be allowed later, so it is tried again.
    #[error("recognized csr as {0:?} but subject access review was not approved")]
    NotAllowed(Vec<&'static str>),
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
        if issued(&request).is_some() || has(&request, "Approved") || has(&request, "Denied") {
            return Ok(None);
        }
        // Others' requests are none of its business, whatever is in them.
        if Signer::of(&request.spec.signer_name) != Some(Signer::KubeletClient) {
            return Ok(None);
        }
        let asked = Request::from_pem(&request.spec.request.0)?;
        let usages = request.spec.usages.as_deref().unwrap_or_default();
        if kubelet_client(&asked, usages).is_err() {
            return Ok(None);
        }
        let own = request.spec.username.as_deref() == Some(&asked.common_name);
        let ways = if own { &[OWN, ANY][..] } else { &[ANY] };
        for way in ways {
            if self.is_allowed(&request, way).await? {
                self.approve(&request, way).await?;
                return Ok(None);
            }
        }
        let tried = ways.iter().map(|way| way.subresource).collect();
        Err(Failed::NotAllowed(tried))
    }

    async fn is_allowed(
        &self,
        request: &CertificateSigningRequest,
        way: &Way,
    ) -> Result<bool, Failed> {
        let spec = &request.spec;
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: spec.username.clone(),
                uid: spec.uid.clone(),
                groups: spec.groups.clone(),
                extra: spec.extra.clone(),
                resource_attributes: Some(ResourceAttributes {
                    group: Some("certificates.k8s.io".to_owned()),
                    resource: Some("certificatesigningrequests".to_owned()),
                    subresource: Some(way.subresource.to_owned()),
                    verb: Some("create".to_owned()),
                    version: Some("*".to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.cx.client.clone());
        let answer = api.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    async fn approve(&self, request: &CertificateSigningRequest, way: &Way) -> Result<(), Failed> {
        let approved = with(
            request,
            CertificateSigningRequestCondition {
                type_: "Approved".to_owned(),
                status: "True".to_owned(),
                reason: Some("AutoApproved".to_owned()),
                message: Some(way.message.to_owned()),
                ..CertificateSigningRequestCondition::default()
            },
        );
        let name = request.metadata.name.as_deref().unwrap_or_default();
        let api: Api<CertificateSigningRequest> = Api::all(self.cx.client.clone());
        let written: kube::Result<CertificateSigningRequest> = api
            .replace_subresource("approval", name, &PostParams::default(), &approved)
            .await;
        unless_gone(written)?;
        Ok(())
    }
}
