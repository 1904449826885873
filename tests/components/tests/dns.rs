//! Names of a cluster: the program `dns` against a real apiserver that goes away and comes back.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect"
)]

use std::time::Duration;

use dns::wire::{Code, Message, Name, Query};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::DeleteParams;
use mainstay_component_tests::{Program, Scene, World};
use mainstay_tests::ports::Port;
use mainstay_tests::wait_until;
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Time for something to come about; a watch that broke begins again within it.
const DONE: Duration = Duration::from_secs(40);
/// Time for one answer.
const ANSWER: Duration = Duration::from_secs(5);

/// The server under test.
struct Server {
    program: Program,
    port: Port,
}

impl Server {
    fn start(world: &World) -> Self {
        let port = Port::take();
        let flags = [
            format!("--kubeconfig={}", world.server.kubeconfig().display()),
            format!("--listen=127.0.0.1:{}", port.number()),
            "--forward=".to_owned(),
            "--metrics-port=0".to_owned(),
            "--health-port=0".to_owned(),
            "--ready-port=0".to_owned(),
            "--lameduck=0s".to_owned(),
        ];
        let program = Program::start("dns", &flags);
        Self { program, port }
    }

    /// The data of the answer's records, in order, or the code where there are none; `None` without an answer.
    async fn says(&self, question: &str) -> Option<String> {
        let (name, kind) = question.split_once(' ').unwrap();
        let message = Message::question(Query {
            name: Name::from_text(name).unwrap(),
            kind: kind.parse().unwrap(),
            class: 1,
        });
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = ("127.0.0.1", self.port.number());
        socket.connect(server).await.unwrap();
        socket.send(&message.write()).await.ok()?;
        let mut buffer = [0; 4096];
        let length = timeout(ANSWER, socket.recv(&mut buffer)).await.ok()?.ok()?;
        let answer = Message::read(&buffer[..length]).unwrap();
        let mut lines: Vec<_> = answer.answers.iter().map(ToString::to_string).collect();
        lines.sort();
        Some(match lines.is_empty() {
            true => answer.code.unwrap_or(Code::NO_ERROR).to_string(),
            false => lines.join(", "),
        })
    }

    async fn comes_to_say(&self, question: &str, answer: &str) {
        let mut last = None;
        let what = format!("{question} is {answer:?}");
        let said = timeout(
            DONE,
            wait_until(&what, DONE * 2, async || {
                last = self.says(question).await;
                (last.as_deref() == Some(answer)).then_some(())
            }),
        )
        .await;
        let log = self.program.log();
        assert!(said.is_ok(), "{what}, but {last:?}\n{log}");
    }

    async fn still_says(&self, question: &str, answer: &str) {
        let said = self.says(question).await;
        assert_eq!(said.as_deref(), Some(answer), "{question}");
    }
}

async fn service(scene: &Scene, name: &str, spec: Value) -> Service {
    let manifest = json!({"metadata": {"name": name}, "spec": spec});
    scene.create(manifest).await
}

fn endpoints(all: &[(&str, Option<&str>)]) -> Value {
    let one = |(address, hostname): &(&str, Option<&str>)| json!({"addresses": [address], "hostname": hostname});
    all.iter().map(one).collect()
}

async fn slice(scene: &Scene, service: &str, ends: Value) {
    let manifest = json!({
        "metadata": {"name": format!("{service}-1"), "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "endpoints": ends,
        "ports": [{"name": "https", "port": 8443, "protocol": "TCP"}],
    });
    scene.create::<EndpointSlice>(manifest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_follow_the_cluster_and_go_on_being_told_while_no_apiserver_answers() {
    let mut world = World::start().await;
    let scene = world.scene().await;
    let ports = json!([{"name": "https", "port": 443, "protocol": "TCP"}]);
    let web = service(&scene, "web", json!({"ports": ports})).await;
    let pets = json!({"clusterIP": "None", "ports": ports});
    service(&scene, "pets", pets).await;
    let pets = [("10.1.0.1", Some("first")), ("10.1.0.2", None)];
    slice(&scene, "pets", endpoints(&pets)).await;
    let elsewhere = json!({"type": "ExternalName", "externalName": "www.example.com"});
    service(&scene, "elsewhere", elsewhere).await;

    let mut server = Server::start(&world);
    let zone = format!("{}.svc.cluster.local.", scene.namespace);
    let (of_web, of_pets) = (format!("web.{zone} A"), format!("pets.{zone} A"));
    let address = web.spec.unwrap().cluster_ip.unwrap();
    server.comes_to_say(&of_web, &address).await;
    server.comes_to_say(&of_pets, "10.1.0.1, 10.1.0.2").await;
    // A failure of the server until all of the cluster is known.
    server
        .comes_to_say(&format!("gone.{zone} A"), "NXDOMAIN")
        .await;
    for (question, answer) in [
        (
            format!("_https._tcp.web.{zone} SRV"),
            format!("0 100 443 web.{zone}"),
        ),
        (
            format!("_https._tcp.pets.{zone} SRV"),
            format!("0 50 8443 10-1-0-2.pets.{zone}, 0 50 8443 first.pets.{zone}"),
        ),
        (format!("first.pets.{zone} A"), "10.1.0.1".to_owned()),
        (
            format!("10-1-0-9.{}.pod.cluster.local. A", scene.namespace),
            "10.1.0.9".to_owned(),
        ),
        (
            "2.0.1.10.in-addr.arpa. PTR".to_owned(),
            format!("10-1-0-2.pets.{zone}"),
        ),
        (
            format!("elsewhere.{zone} CNAME"),
            "www.example.com.".to_owned(),
        ),
        (
            "kubernetes.default.svc.cluster.local. AAAA".to_owned(),
            "NOERROR".to_owned(),
        ),
    ] {
        server.comes_to_say(&question, &answer).await;
    }

    // Endpoints come and go.
    let patch = json!({"endpoints": endpoints(&[("10.1.0.2", None), ("10.1.0.3", None)])});
    scene.patch::<EndpointSlice>("pets-1", patch).await;
    server.comes_to_say(&of_pets, "10.1.0.2, 10.1.0.3").await;

    // Nobody answers: what was known is told. What changes meanwhile is seen afterwards.
    world.server.kill();
    server.still_says(&of_web, &address).await;
    server.still_says(&of_pets, "10.1.0.2, 10.1.0.3").await;
    server
        .still_says(&format!("gone.{zone} A"), "NXDOMAIN")
        .await;
    world.server.run().await;
    let patch = json!({"endpoints": endpoints(&[("10.1.0.4", None)])});
    scene.patch::<EndpointSlice>("pets-1", patch).await;
    let late = service(&scene, "late", json!({"ports": ports})).await;
    let late = late.spec.unwrap().cluster_ip.unwrap();
    scene
        .api::<Service>()
        .delete("elsewhere", &DeleteParams::default())
        .await
        .unwrap();
    server.comes_to_say(&of_pets, "10.1.0.4").await;
    server.comes_to_say(&format!("late.{zone} A"), &late).await;
    server
        .comes_to_say(&format!("elsewhere.{zone} CNAME"), "NXDOMAIN")
        .await;
    server.still_says(&of_web, &address).await;
    let code = server.program.terminate().await;
    assert_eq!(code, Some(0), "{}", server.program.log());
}
