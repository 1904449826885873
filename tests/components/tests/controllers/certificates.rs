//! Certificate signing requests: approved, signed, refused and cleaned up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use controllers::{
    Context, Options, SigningOptions, approve_certificates, clean_certificates, sign_certificates,
};
use futures_util::future::BoxFuture;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use mainstay_component_tests::sieve::{ended_after_every_write, writes_nothing_more};
use mainstay_component_tests::{Faults, Instance, Start, World, client_as, with_rights_of};
use mainstay_tests::wait_until;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};

use crate::DONE;

pub(super) const KUBELET: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const SERVING: &str = "kubernetes.io/kubelet-serving";

fn approving(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(approve_certificates(with_rights_of(
        "certificate-controller",
        cx,
    )))
}

fn cleaning(cx: Context) -> BoxFuture<'static, ()> {
    Box::pin(clean_certificates(with_rights_of(
        "certificate-controller",
        cx,
    )))
}

/// With the authority that the apiserver trusts.
pub(super) fn signing(pki: &Path) -> impl Start + use<> {
    let signing = SigningOptions {
        cluster_signing_cert_file: Some(pki.join("ca.crt")),
        cluster_signing_key_file: Some(pki.join("ca.key")),
        cluster_signing_duration: Duration::from_secs(24 * 3_600),
        ..SigningOptions::default()
    };
    move |cx: Context| -> BoxFuture<'static, ()> {
        let options = Arc::new(Options {
            signing,
            ..Options::default()
        });
        let cx = with_rights_of("certificate-controller", Context { options, ..cx });
        Box::pin(sign_certificates(cx))
    }
}

pub(super) struct Asked {
    name: String,
    key: KeyPair,
}

/// Asks for a certificate in the name of whoever `client` is.
pub(super) async fn ask(
    client: &Client,
    name: &str,
    subject: (&str, &str),
    signer: &str,
    usages: &[&str],
) -> Asked {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::OrganizationName, subject.0);
    params
        .distinguished_name
        .push(DnType::CommonName, subject.1);
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    let mut request: CertificateSigningRequest = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"request": "", "signerName": signer, "usages": usages},
    }))
    .unwrap();
    request.spec.request.0 = pem.into_bytes();
    let api: Api<CertificateSigningRequest> = Api::all(client.clone());
    api.create(&PostParams::default(), &request).await.unwrap();
    Asked {
        name: name.to_owned(),
        key,
    }
}

async fn approve(client: &Client, name: &str, type_: &str) {
    let api: Api<CertificateSigningRequest> = Api::all(client.clone());
    let patch = Patch::Merge(json!({"status": {"conditions": [
        {"type": type_, "status": "True", "reason": "Test", "message": "by hand"},
    ]}}));
    let params = PatchParams::default();
    let _: CertificateSigningRequest = api.patch_approval(name, &params, &patch).await.unwrap();
}

async fn request(client: &Client, name: &str) -> Option<Value> {
    let api: Api<CertificateSigningRequest> = Api::all(client.clone());
    let found = api.get_opt(name).await.unwrap();
    found.map(|found| serde_json::to_value(found).unwrap())
}

async fn becomes(client: &Client, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait_until(&format!("{name} {what}"), DONE, async || {
        let found = request(client, name).await.unwrap();
        is(&found["status"]).then_some(found)
    })
    .await
}

fn is_signed(status: &Value) -> bool {
    status["certificate"].is_string()
}

fn condition<'a>(status: &'a Value, type_: &str) -> &'a Value {
    let conditions = status["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions
        .find(|one| one["type"] == type_)
        .unwrap_or(&Value::Null)
}

async fn may_ask(world: &World, name: &str, what: &str, group: &str) {
    let role = format!("system:certificates.k8s.io:certificatesigningrequests:{what}");
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
    }))
    .unwrap();
    let api: Api<ClusterRoleBinding> = Api::all(world.client.clone());
    api.create(&PostParams::default(), &binding).await.unwrap();
}

fn node(world: &World) -> Client {
    let groups = ["system:nodes", "system:authenticated"];
    client_as(&world.client, "system:node:n1", &groups)
}

#[tokio::test]
async fn kubelets_are_approved_for_themselves_and_by_who_may_ask_for_any_node() {
    let world = World::start().await;
    let signature = ["digital signature", "client auth"];
    let count = std::sync::atomic::AtomicUsize::new(0);
    may_ask(&world, "own", "selfnodeclient", "system:nodes").await;
    may_ask(&world, "any", "nodeclient", "bootstrappers").await;
    // What nobody may approve stays as it is, and is asked about again and again without a write.
    let stranger = client_as(&world.client, "stranger", &["system:masters"]);
    let other = ask(&stranger, "other", ("people", "jane"), CLIENT, &signature).await;
    let writes = ended_after_every_write(&world, approving, async |_| {
        let round = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let subject = ("system:nodes", "system:node:n1");
        let own = ask(
            &node(&world),
            &format!("own-{round}"),
            subject,
            KUBELET,
            &signature,
        )
        .await;
        let groups = [
            "bootstrappers",
            "system:node-bootstrappers",
            "system:masters",
        ];
        let joins = client_as(&world.client, "system:bootstrap:abcdef", &groups);
        let any = ask(
            &joins,
            &format!("any-{round}"),
            subject,
            KUBELET,
            &signature,
        )
        .await;
        for (asked, text) in [
            (
                own,
                "Auto approving self kubelet client certificate after SubjectAccessReview.",
            ),
            (
                any,
                "Auto approving kubelet client certificate after SubjectAccessReview.",
            ),
        ] {
            let approved = |status: &Value| condition(status, "Approved")["status"] == "True";
            let request = becomes(&world.client, &asked.name, "is approved", approved).await;
            let condition = condition(&request["status"], "Approved");
            assert_eq!(condition["reason"], "AutoApproved");
            assert_eq!(condition["message"], text);
            assert!(condition["lastUpdateTime"].is_string(), "{condition}");
        }
    })
    .await;
    assert_eq!(writes, 2);
    let untouched = request(&world.client, &other.name).await.unwrap();
    assert!(untouched["status"]["conditions"].is_null(), "{untouched}");
    // Who may not ask is not approved, until it may.
    let weak = client_as(
        &world.client,
        "system:node:n2",
        &["weak", "system:nodes-to-be"],
    );
    let create = json!({
        "metadata": {"name": "weak"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node-bootstrapper"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "weak"}],
    });
    let bindings: Api<ClusterRoleBinding> = Api::all(world.client.clone());
    let create = serde_json::from_value(create).unwrap();
    bindings
        .create(&PostParams::default(), &create)
        .await
        .unwrap();
    let running = Instance::start(&world.config, approving, Faults::default());
    let later = ask(
        &weak,
        "later",
        ("system:nodes", "system:node:n2"),
        KUBELET,
        &signature,
    )
    .await;
    running.idle().await;
    assert_eq!(running.faults.writes(), 0);
    may_ask(&world, "weak-own", "selfnodeclient", "weak").await;
    let approved = |status: &Value| condition(status, "Approved")["status"] == "True";
    becomes(&world.client, &later.name, "is approved at last", approved).await;
}

#[tokio::test]
async fn what_is_approved_is_signed_and_is_who_it_says() {
    let world = World::start().await;
    let start = signing(world.server.pki());
    let count = std::sync::atomic::AtomicUsize::new(0);
    let usages = ["client auth", "digital signature"];
    let writes = ended_after_every_write(&world, start.clone(), async |_| {
        let round = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let client = &world.client;
        let good = ask(
            client,
            &format!("good-{round}"),
            ("people", "jane"),
            CLIENT,
            &usages,
        )
        .await;
        let bad = ask(
            client,
            &format!("bad-{round}"),
            ("people", "jane"),
            SERVING,
            &usages,
        )
        .await;
        let denied = ask(
            client,
            &format!("denied-{round}"),
            ("people", "jane"),
            CLIENT,
            &usages,
        )
        .await;
        approve(client, &denied.name, "Denied").await;
        approve(client, &good.name, "Approved").await;
        approve(client, &bad.name, "Approved").await;
        let signed = becomes(client, &good.name, "is signed", is_signed).await;
        let failed = |status: &Value| condition(status, "Failed")["status"] == "True";
        let failed = becomes(client, &bad.name, "failed", failed).await;
        let condition = condition(&failed["status"], "Failed");
        assert_eq!(condition["reason"], "SignerValidationFailure");
        assert_eq!(
            condition["message"],
            "subject organization is not system:nodes"
        );
        assert!(!is_signed(&failed["status"]));
        let denied = request(client, &denied.name).await.unwrap();
        assert!(!is_signed(&denied["status"]));
        // The apiserver knows who comes with it.
        let pem: CertificateSigningRequest = serde_json::from_value(signed).unwrap();
        let pem = pem.status.unwrap().certificate.unwrap().0;
        let both = [pem, good.key.serialize_pem().into_bytes()];
        let [cert, key] = both.map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(
            who(&world, &cert, &key).await,
            "jane of people, system:authenticated"
        );
    })
    .await;
    assert_eq!(writes, 2);
}

async fn who(world: &World, cert: &str, key: &str) -> String {
    let mut config = world.config.clone();
    let encode = |text: &str| {
        let bytes = k8s_openapi::ByteString(text.as_bytes().to_vec());
        let value = serde_json::to_value(bytes).unwrap();
        value.as_str().unwrap().to_owned()
    };
    config.auth_info.client_certificate = None;
    config.auth_info.client_key = None;
    config.auth_info.client_certificate_data = Some(encode(cert));
    config.auth_info.client_key_data = Some(encode(key).into());
    let client = Client::try_from(config).unwrap();
    let api: Api<SelfSubjectReview> = Api::all(client);
    let asked = SelfSubjectReview::default();
    let answer = api.create(&PostParams::default(), &asked).await.unwrap();
    let user = answer.status.unwrap().user_info.unwrap();
    let groups = user.groups.unwrap_or_default().join(", ");
    format!("{} of {groups}", user.username.unwrap_or_default())
}

#[tokio::test]
async fn a_signer_that_sees_nothing_signs_nothing_twice() {
    let world = World::start().await;
    let start = signing(world.server.pki());
    let running = Instance::start(&world.config, start.clone(), Faults::default());
    let usages = ["client auth"];
    let client = &world.client;
    let first = ask(client, "first", ("people", "jane"), CLIENT, &usages).await;
    approve(client, &first.name, "Approved").await;
    becomes(client, &first.name, "is signed", is_signed).await;
    running.idle().await;
    // It is approved unseen, and what it was then is all that a second one sees.
    running.faults.blind("certificatesigningrequests");
    let second = ask(client, "second", ("people", "joe"), CLIENT, &usages).await;
    approve(client, &second.name, "Approved").await;
    let other = Instance::start(&world.config, start.clone(), Faults::default());
    let signed = becomes(client, &second.name, "is signed", is_signed).await;
    running.faults.miss("certificatesigningrequests");
    other.idle().await;
    let third = ask(client, "third", ("people", "jim"), CLIENT, &usages).await;
    approve(client, &third.name, "Approved").await;
    becomes(client, &third.name, "is signed", is_signed).await;
    let same = request(client, &second.name).await.unwrap();
    assert_eq!(
        same["status"]["certificate"],
        signed["status"]["certificate"]
    );
    drop((running, other));
    writes_nothing_more(&world, start).await;
}

#[tokio::test]
async fn old_requests_go() {
    let world = World::start().await;
    let client = &world.client;
    let usages = ["client auth"];
    let api: Api<CertificateSigningRequest> = Api::all(client.clone());
    let old = Timestamp::now() - SignedDuration::from_secs(3_700);
    for (name, type_) in [
        ("denied", "Denied"),
        ("fresh", "Denied"),
        ("approved", "Approved"),
    ] {
        ask(client, name, ("people", "jane"), CLIENT, &usages).await;
        let since = if name == "fresh" {
            Timestamp::now()
        } else {
            old
        };
        let patch = Patch::Merge(json!({"status": {"conditions": [{
            "type": type_, "status": "True", "reason": "Test", "lastUpdateTime": since.to_string(),
        }]}}));
        let params = PatchParams::default();
        let _: CertificateSigningRequest = api.patch_approval(name, &params, &patch).await.unwrap();
    }
    ask(client, "pending", ("people", "jane"), CLIENT, &usages).await;
    let _running = Instance::start(&world.config, cleaning, Faults::default());
    wait_until("the old one is gone", DONE, async || {
        request(client, "denied").await.is_none().then_some(())
    })
    .await;
    for name in ["fresh", "approved", "pending"] {
        assert!(request(client, name).await.is_some(), "{name} waits longer");
    }
    writes_nothing_more(&world, cleaning).await;
}
