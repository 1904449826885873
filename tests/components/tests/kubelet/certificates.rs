//! Nodes that have nothing but a token at first, and that are nobody but themselves to the apiserver.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::Kubeconfig;
use kube::{Api, Client};
use mainstay_component_tests::{Program, World};
use mainstay_tests::wait::wait_until;
use serde_json::{Value, json};

use crate::machine::IMAGE;
use crate::node::{Node, condition, container};

/// Life of a certificate in seconds: long enough for a slow machine to renew it in time.
const LIFE: u64 = 40;
/// For what takes a whole life of one.
const PATIENCE: Duration = Duration::from_secs(3 * LIFE);
const TOKEN: &str = "abcdef.0123456789abcdef";
const NODES: &str = "system:bootstrappers:kubeadm:default-node-token";

/// A cluster as kubeadm leaves it: a token, and who may do what with it.
async fn let_nodes_join(client: &Client) {
    let (id, secret) = TOKEN.split_once('.').unwrap();
    let token: Secret = serde_json::from_value(json!({
        "metadata": {"name": format!("bootstrap-token-{id}"), "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "token-id": id, "token-secret": secret, "usage-bootstrap-authentication": "true",
            "auth-extra-groups": NODES,
        },
    }))
    .unwrap();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "kube-system");
    let params = PostParams::default();
    secrets.create(&params, &token).await.unwrap();
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let requests = "system:certificates.k8s.io:certificatesigningrequests";
    for (name, role, group) in [
        (
            "kubelet-bootstrap",
            "system:node-bootstrapper".to_owned(),
            NODES,
        ),
        (
            "node-autoapprove-bootstrap",
            format!("{requests}:nodeclient"),
            NODES,
        ),
        (
            "node-autoapprove-certificate-rotation",
            format!("{requests}:selfnodeclient"),
            "system:nodes",
        ),
    ] {
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
        }))
        .unwrap();
        bindings.create(&params, &binding).await.unwrap();
    }
}

/// Controllers that approve, and sign for a short time.
fn controllers(world: &World) -> Program {
    let pki = world.server.pki();
    let file = |name: &str| pki.join(name).display().to_string();
    let flags = [
        format!("--kubeconfig={}", file("controller-manager.kubeconfig")),
        "--secure-port=0".to_owned(),
        format!("--cluster-signing-cert-file={}", file("ca.crt")),
        format!("--cluster-signing-key-file={}", file("ca.key")),
        format!("--cluster-signing-duration={LIFE}s"),
        format!("--service-account-private-key-file={}", file("sa.key")),
        format!("--root-ca-file={}", file("ca.crt")),
    ];
    Program::start("controllers", &flags)
}

fn flags(world: &World, folder: &Path) -> Vec<String> {
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "bootstrap",
        "clusters": [{"name": "c", "cluster": {
            "server": format!("https://127.0.0.1:{}", world.server.port()),
            "certificate-authority": world.server.pki().join("ca.crt"),
        }}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "bootstrap", "context": {"cluster": "c", "user": "u"}}],
    });
    let bootstrap = folder.join("bootstrap.conf");
    fs::write(&bootstrap, text.to_string()).unwrap();
    vec![
        format!("--bootstrap-kubeconfig={}", bootstrap.display()),
        format!("--kubeconfig={}", folder.join("kubelet.conf").display()),
        "--rotate-certificates".to_owned(),
        "--rotate-server-certificates=true".to_owned(),
    ]
}

fn pki(node: &Node) -> PathBuf {
    node.machine.dir.path().join("kubelet/pki")
}

/// The file that the link leads to, and until when its certificate is valid.
fn current(node: &Node, kind: &str) -> Option<(PathBuf, i64)> {
    let link = pki(node).join(format!("kubelet-{kind}-current.pem"));
    let file = fs::read_link(&link).ok()?;
    let bytes = fs::read(&link).ok()?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&bytes).ok()?;
    let certificate = pem.parse_x509().ok()?;
    Some((file, certificate.validity().not_after.timestamp()))
}

async fn requests(node: &Node, signer: &str) -> Vec<CertificateSigningRequest> {
    let api: Api<CertificateSigningRequest> = Api::all(node.world.client.clone());
    let mut all = api.list(&ListParams::default()).await.unwrap().items;
    all.retain(|request| request.spec.signer_name == signer);
    all.sort_by_key(|request| {
        request
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0)
    });
    all
}

async fn passes(second: i64) {
    wait_until("a certificate has ended", PATIENCE, async || {
        (Timestamp::now().as_second() > second).then_some(())
    })
    .await;
}

/// A pod that uses all that pods have of the apiserver, and is ready while its secret has this text.
async fn run_pod(node: &Node, text: &str) {
    let scene = &node.scene;
    scene
        .create::<Secret>(json!({"metadata": {"name": "s"}, "stringData": {"a": "one"}}))
        .await;
    scene
        .create::<ConfigMap>(json!({"metadata": {"name": "c"}, "data": {"a": "b"}}))
        .await;
    let ready = format!("test \"$(cat /s/a)\" = {text}");
    let pod = json!({
        "metadata": {"name": "uses"},
        "spec": {
            "nodeName": "n1",
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "a", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", "test -s /var/run/secrets/kubernetes.io/serviceaccount/token && \
                    test \"$(cat /c/a)$FROM\" = bone && sleep inf"],
                "env": [{"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "s", "key": "a"}}}],
                "readinessProbe": {"exec": {"command": ["sh", "-c", ready]}, "periodSeconds": 1},
                "volumeMounts": [{"name": "s", "mountPath": "/s"}, {"name": "c", "mountPath": "/c"}],
            }],
            "volumes": [
                {"name": "s", "secret": {"secretName": "s"}},
                {"name": "c", "configMap": {"name": "c"}},
            ],
        },
    });
    scene.create::<Pod>(pod).await;
    node.until("uses", "runs", |pod| {
        let state = container(pod, "a")?.state.as_ref()?;
        state.running.is_some().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_token_becomes_itself_and_stays_so() {
    let world = World::start_with(&["--enable-bootstrap-token-auth"]).await;
    let_nodes_join(&world.client).await;
    let _controllers = controllers(&world);
    let Some(mut node) = Node::start_in(world, flags).await else {
        return;
    };
    it_has_a_certificate_of_its_own(&node).await;
    let trust: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "any"},
    }))
    .unwrap();
    // Its controller is there as well.
    let _ = node
        .scene
        .api::<ConfigMap>()
        .create(&PostParams::default(), &trust)
        .await;
    run_pod(&node, "two").await;
    let before = node
        .until("uses", "is there", |pod| Some(pod.clone()))
        .await;
    assert!(!condition(&before, "Ready"));
    its_serving_certificate_is_signed_once_it_is_approved(&node).await;
    it_shows_static_pods_and_lets_go_of_deleted_ones(&node).await;
    the_next_certificate_is_used_when_the_first_has_ended(&node).await;
    // Nothing that it did was refused, whoever it was.
    let log = node.log();
    let refused: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("orbidden") || line.contains("nauthorized"))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
    it_joins_again_with_the_token_when_its_certificate_ended_while_it_was_down(&mut node).await;
    let after = node.until_ready("uses").await;
    let id = |pod: &Pod| container(pod, "a").unwrap().container_id.clone();
    assert_eq!(id(&after), id(&before));
}

async fn it_has_a_certificate_of_its_own(node: &Node) {
    let file = Kubeconfig::read_from(node.machine.dir.path().join("kubelet.conf")).unwrap();
    let user = file.auth_infos[0].auth_info.clone().unwrap();
    let link = pki(node).join("kubelet-client-current.pem");
    assert_eq!(user.client_certificate, Some(link.display().to_string()));
    assert!(user.token.is_none());
    let asked = requests(node, "kubernetes.io/kube-apiserver-client-kubelet").await;
    let first = &asked[0];
    let name = first.metadata.name.as_deref().unwrap();
    assert!(name.starts_with("node-csr-"), "{name}");
    assert_eq!(
        first.spec.username.as_deref(),
        Some("system:bootstrap:abcdef")
    );
    // The lease is written by the node itself.
    let leases: Api<Lease> = Api::namespaced(node.world.client.clone(), "kube-node-lease");
    wait_until("the lease is there", PATIENCE, async || {
        leases.get_opt("n1").await.unwrap()
    })
    .await;
}

async fn its_serving_certificate_is_signed_once_it_is_approved(node: &Node) {
    let signer = "kubernetes.io/kubelet-serving";
    let asked = wait_until("it asks for a serving certificate", PATIENCE, async || {
        requests(node, signer).await.pop()
    })
    .await;
    assert_eq!(asked.spec.username.as_deref(), Some("system:node:n1"));
    assert!(current(node, "server").is_none(), "nobody has approved");
    let api: Api<CertificateSigningRequest> = Api::all(node.world.client.clone());
    let patch = Patch::Merge(json!({"status": {"conditions": [
        {"type": "Approved", "status": "True", "reason": "Test", "message": "by hand"},
    ]}}));
    let name = asked.metadata.name.unwrap();
    let params = PatchParams::default();
    let _: CertificateSigningRequest = api.patch_approval(&name, &params, &patch).await.unwrap();
    wait_until("it has a serving certificate", PATIENCE, async || {
        current(node, "server")
    })
    .await;
    let bytes = fs::read(pki(node).join("kubelet-server-current.pem")).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&bytes).unwrap();
    let certificate = pem.parse_x509().unwrap();
    assert_eq!(
        certificate.subject().to_string(),
        "O=system:nodes, CN=system:node:n1"
    );
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 2, "n1 and its address");
}

async fn it_shows_static_pods_and_lets_go_of_deleted_ones(node: &Node) {
    let manifest = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "own"},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "a", "image": IMAGE,
            "imagePullPolicy": "IfNotPresent", "command": ["sleep", "inf"]}]},
    });
    fs::write(node.manifests().join("own.json"), manifest.to_string()).unwrap();
    let pods: Api<Pod> = Api::namespaced(node.world.client.clone(), "default");
    wait_until("the mirror is ready", PATIENCE, async || {
        let mirror = pods.get_opt("own-n1").await.unwrap()?;
        condition(&mirror, "Ready").then_some(())
    })
    .await;
    node.pod(
        "goes",
        json!({"containers": [{"name": "a", "command": ["sleep", "inf"]}]}),
    )
    .await;
    node.until_ready("goes").await;
    let scene = node.scene.api::<Pod>();
    scene
        .delete("goes", &DeleteParams::default())
        .await
        .unwrap();
    node.until_gone("goes").await;
    let told = async || {
        let events = node.scene.list::<Event>().await;
        let mut about = events
            .iter()
            .filter(|event| event.involved_object.name.as_deref() == Some("goes"));
        about
            .any(|event| event.reason.as_deref() == Some("Started"))
            .then_some(())
    };
    wait_until("its events are there", PATIENCE, told).await;
}

async fn the_next_certificate_is_used_when_the_first_has_ended(node: &Node) {
    let (file, ends) = current(node, "client").unwrap();
    wait_until("there is another certificate", PATIENCE, async || {
        let (next, _) = current(node, "client")?;
        (next != file).then_some(())
    })
    .await;
    let asked = requests(node, "kubernetes.io/kube-apiserver-client-kubelet").await;
    let last = asked.last().unwrap();
    assert_eq!(last.spec.username.as_deref(), Some("system:node:n1"));
    passes(ends).await;
    // What is watched is still seen, and what is seen is told.
    node.scene
        .patch::<Secret>("s", json!({"stringData": {"a": "two"}}))
        .await;
    node.until_ready("uses").await;
    let leases: Api<Lease> = Api::namespaced(node.world.client.clone(), "kube-node-lease");
    renewed_after(&leases, ends).await;
}

async fn renewed_after(leases: &Api<Lease>, second: i64) {
    wait_until("the lease is renewed", PATIENCE, async || {
        let lease = leases.get("n1").await.unwrap();
        let renewed = lease.spec?.renew_time?.0.as_second();
        (renewed > second).then_some(())
    })
    .await;
}

async fn it_joins_again_with_the_token_when_its_certificate_ended_while_it_was_down(
    node: &mut Node,
) {
    node.kill_kubelet();
    let (file, ends) = current(node, "client").unwrap();
    passes(ends).await;
    let signer = "kubernetes.io/kube-apiserver-client-kubelet";
    let before = requests(node, signer).await.len();
    node.start_kubelet();
    wait_until("there is another certificate", PATIENCE, async || {
        let (next, _) = current(node, "client")?;
        (next != file).then_some(())
    })
    .await;
    let asked = requests(node, signer).await;
    let who = asked[before].spec.username.as_deref();
    assert_eq!(who, Some("system:bootstrap:abcdef"));
    let leases: Api<Lease> = Api::namespaced(node.world.client.clone(), "kube-node-lease");
    renewed_after(&leases, ends).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn static_pods_come_from_a_server_as_well() {
    let served = tempfile::tempdir().unwrap();
    let page = served.path().join("pods");
    let pod = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "a", "image": IMAGE,
                "imagePullPolicy": "IfNotPresent", "command": ["sleep", "inf"]}]},
        })
    };
    let list = |pods: &[Value]| {
        let list = json!({"apiVersion": "v1", "kind": "PodList", "items": pods});
        fs::write(&page, list.to_string()).unwrap();
    };
    list(&[pod("one"), pod("two")]);
    let started = Node::start_in(World::start().await, |world, _| {
        vec![
            format!("--kubeconfig={}", world.server.kubeconfig().display()),
            "--manifest-url=http://127.0.0.1:8099/pods".to_owned(),
            "--http-check-frequency=1s".to_owned(),
        ]
    });
    let Some(node) = started.await else {
        return;
    };
    let home = served.path().to_str().unwrap();
    let words = ["busybox", "httpd", "-f", "-p", "127.0.0.1:8099", "-h", home];
    let server = mainstay_tests::process::Process::spawn(node.machine.inside(&words)).unwrap();
    let pods: Api<Pod> = Api::namespaced(node.world.client.clone(), "default");
    let runs = async |name: &str, wanted: bool| {
        wait_until(&format!("{name} runs: {wanted}"), PATIENCE, async || {
            let found = pods.get_opt(name).await.unwrap();
            let ready = found.as_ref().is_some_and(|pod| condition(pod, "Ready"));
            (ready == wanted && found.is_some() == wanted).then_some(())
        })
        .await;
    };
    runs("one-n1", true).await;
    runs("two-n1", true).await;
    list(&[pod("two")]);
    runs("one-n1", false).await;
    runs("two-n1", true).await;
    // Nobody answers: what was last said counts.
    let told = || node.log().matches("no static pods:").count();
    let before = told();
    drop(server);
    wait_until("it is told that nobody answers", PATIENCE, async || {
        (told() > before).then_some(())
    })
    .await;
    runs("two-n1", true).await;
}
