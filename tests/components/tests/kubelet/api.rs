//! The kubelet's API on its port, as apiserver, scrapers and strangers see it.

use std::fs;

use futures_util::{SinkExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Api;
use mainstay_tests::rest::Rest;
use mainstay_tests::wait::wait_until;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;

use crate::node::{DONE, Node, waits};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_answers_those_who_may_ask() {
    let Some(mut node) = Node::start_with(guarded).await else {
        return;
    };
    let port = node.machine.expose(10250).await;
    let rest = Rest::new(port.number(), node.world.server.pki());
    let serves = json!({"containers": [
        {"name": "talks", "command": ["sh", "-c", "echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three; sleep inf"]},
        {"name": "serves", "command": ["sh", "-c",
            "mkdir /www; echo fine > /www/health; httpd -f -p 8080 -h /www"]},
        {"name": "repeats", "command": ["sh", "-c", "while true; do echo again; sleep 0.1; done"]},
    ]});
    node.pod("web", serves).await;
    let spec = json!({"restartPolicy": "Never", "containers": [
        {"name": "counts", "command": ["sh", "-c", "for i in 1 2 3 4 5; do echo line $i; sleep 0.3; done"]}]});
    node.pod("ends", spec).await;
    let spec = json!({"containers": [{"name": "a", "image": "127.0.0.1:1/none:1"}]});
    node.pod("unpulled", spec).await;
    node.until_ready("web").await;
    strangers_are_told_so(&node, &rest).await;
    what_the_node_is(&node, &rest).await;
    tokio::join!(
        logs_by_all_options(&node, &rest),
        a_log_is_followed_to_its_end(&node, &rest),
        commands_by_websocket(&node, &rest),
        commands_by_spdy(&node, &rest),
        ports_are_forwarded(&node, &rest),
        what_is_used(&node, &rest),
    );
}

fn guarded(world: &mainstay_component_tests::World) -> Vec<String> {
    let pki = world.server.pki().display();
    vec![
        format!("--client-ca-file={pki}/ca.crt"),
        format!("--tls-cert-file={pki}/apiserver.crt"),
        format!("--tls-private-key-file={pki}/apiserver.key"),
        "--anonymous-auth=false".to_owned(),
        "--authentication-token-webhook=true".to_owned(),
        "--authorization-mode=Webhook".to_owned(),
        "--authorization-webhook-cache-unauthorized-ttl=1s".to_owned(),
    ]
}

/// Status code and body.
async fn get(rest: &Rest, path: &str) -> (u16, String) {
    let answer = rest.call(&format!("GET {path}"), "").await;
    (answer.status, answer.body)
}

async fn strangers_are_told_so(node: &Node, rest: &Rest) {
    let nobody = rest.without_certificate();
    let unauthorized = (401, "Unauthorized".to_owned());
    assert_eq!(get(&nobody, "/healthz").await, unauthorized);
    assert_eq!(get(&nobody, "/pods").await, unauthorized);
    let with = async |token: &str, path: &str| {
        let head = format!("GET {path}\nAuthorization: Bearer {token}");
        let answer = nobody.call(&head, "").await;
        (answer.status, answer.body)
    };
    assert_eq!(with("garbage", "/pods").await, unauthorized);
    let namespace = node.scene.namespace.as_ref();
    let path = format!("POST /api/v1/namespaces/{namespace}/serviceaccounts/default/token");
    let asked =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let (code, made) = node
        .world
        .server
        .rest()
        .json(&format!("{path}\nContent-Type: application/json"), &asked)
        .await;
    assert_eq!(code, 201, "{made}");
    let token = made["status"]["token"].as_str().unwrap();
    let user = format!("system:serviceaccount:{namespace}:default");
    for (path, subresources) in [
        ("/pods", "pods proxy"),
        ("/stats/summary", "stats"),
        ("/metrics", "metrics"),
        ("/logs/", "log"),
        ("/exec/a/b/c", "proxy"),
    ] {
        let text = format!(
            "Forbidden (user={user}, verb=get, resource=nodes, subresource(s)=[{subresources}])\n"
        );
        assert_eq!(with(token, path).await, (403, text), "{path}");
    }
    // Who may see pods of nodes may, and nothing else.
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "node-pods"},
        "rules": [{"apiGroups": [""], "resources": ["nodes/pods"], "verbs": ["get"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "node-pods"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "node-pods"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}]});
    for (kind, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
        let head = format!(
            "POST /apis/rbac.authorization.k8s.io/v1/{kind}\nContent-Type: application/json"
        );
        let (code, answer) = node.world.server.rest().json(&head, &object).await;
        assert_eq!(code, 201, "{answer}");
    }
    let allowed = async || (with(token, "/pods").await.0 == 200).then_some(());
    wait_until("pods may be seen", DONE, allowed).await;
    assert_eq!(with(token, "/configz").await.0, 403);
}

async fn what_the_node_is(node: &Node, rest: &Rest) {
    let ok = (200, "ok".to_owned());
    for path in [
        "/healthz",
        "/healthz/ping",
        "/healthz/syncloop",
        "/healthz/log",
    ] {
        assert_eq!(get(rest, path).await, ok, "{path}");
    }
    assert_eq!(get(rest, "/none").await.0, 404);
    assert_eq!(rest.call("DELETE /pods", "").await.status, 405);
    let named = |list: &Value| {
        let items = list["items"].as_array().unwrap().clone();
        let names = items.iter().map(|pod| pod["metadata"]["name"].clone());
        names.collect::<Vec<_>>()
    };
    let (_, pods) = rest.json("GET /pods", &Value::Null).await;
    assert_eq!(pods["kind"], "PodList");
    assert!(named(&pods).contains(&json!("web")), "{pods}");
    let items = pods["items"].as_array().unwrap();
    let web = items.iter().find(|pod| pod["metadata"]["name"] == "web");
    assert_eq!(web.unwrap()["status"]["phase"], "Running");
    let (_, running) = rest.json("GET /runningpods/", &Value::Null).await;
    assert!(named(&running).contains(&json!("web")), "{running}");
    let (_, config) = rest.json("GET /configz", &Value::Null).await;
    assert_eq!(config["kubeletconfig"]["authorization"]["mode"], "Webhook");
    let object: Api<NodeObject> = Api::all(node.world.client.clone());
    let status = object.get("n1").await.unwrap().status.unwrap();
    let endpoints = status.daemon_endpoints.unwrap().kubelet_endpoint.unwrap();
    assert_eq!(endpoints.port, 10250);
    let version = status.node_info.unwrap().kubelet_version;
    assert!(version.starts_with("v1.36."), "{version}");
    let links = node.machine.dir.path().join("containers");
    let names = fs::read_dir(&links).unwrap().flatten();
    let names: Vec<_> = names
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let start = format!("web_{}_talks-", node.scene.namespace);
    let link = names
        .iter()
        .find(|name| name.starts_with(&start))
        .expect("a link to the log");
    let text = fs::read_to_string(links.join(link)).unwrap();
    assert!(text.contains(" stdout F one\n"), "{text}");
}

async fn logs_by_all_options(node: &Node, rest: &Rest) {
    let namespace = node.scene.namespace.as_ref();
    let log = async |of: &str, query: &str| {
        get(rest, &format!("/containerLogs/{namespace}/{of}?{query}")).await
    };
    let text = |text: &str| (200, text.to_owned());
    let whole = async || (log("web/talks", "").await == text("one\ntwo\nthree\n")).then_some(());
    wait_until("the whole log", DONE, whole).await;
    assert_eq!(log("web/talks", "tailLines=1").await, text("three\n"));
    assert_eq!(log("web/talks", "tailLines=0").await, text(""));
    assert_eq!(log("web/talks", "limitBytes=5").await, text("one\nt"));
    assert_eq!(log("web/talks", "stream=Stderr").await, text("two\n"));
    assert_eq!(
        log("web/talks", "sinceSeconds=3600").await,
        text("one\ntwo\nthree\n")
    );
    assert_eq!(
        log("web/talks", "sinceTime=2100-01-01T00:00:00Z").await,
        text("")
    );
    let (_, timed) = log("web/talks", "timestamps=true&tailLines=1").await;
    let (time, rest) = timed.split_once(' ').unwrap();
    assert_eq!((time.as_bytes()[10], rest), (b'T', "three\n"), "{timed}");
    for (of, query, code, why) in [
        ("none/a", "", 404, "pod \"none\" does not exist"),
        (
            "web/none",
            "",
            404,
            "container \"none\" not found in pod \"web\"",
        ),
        (
            "web/talks",
            "tailLines=x",
            400,
            "{\"message\": \"Unable to decode query.\"}",
        ),
        (
            "web/talks",
            "limitBytes=0",
            422,
            "{\"message\": \"Invalid request.\"}",
        ),
        (
            "web/talks",
            "previous=true",
            400,
            "previous terminated container \"talks\" in pod \"web\" not found",
        ),
    ] {
        assert_eq!(log(of, query).await, (code, why.to_owned()), "{of} {query}");
    }
    let backs_off = |pod: &_| (waits(pod, "a") == Some("ImagePullBackOff")).then_some(());
    node.until("unpulled", "backs off", backs_off).await;
    let text =
        "container \"a\" in pod \"unpulled\" is waiting to start: trying and failing to pull image";
    let told = async || (log("unpulled/a", "").await == (400, text.to_owned())).then_some(());
    wait_until("why there is no log", DONE, told).await;
}

async fn a_log_is_followed_to_its_end(node: &Node, rest: &Rest) {
    let namespace = node.scene.namespace.as_ref();
    let path = format!("/containerLogs/{namespace}/ends/counts?follow=true");
    let begun = async || {
        let answer = get(rest, &path).await;
        (answer.0 == 200).then_some(answer.1)
    };
    let whole = wait_until("a log", DONE, begun).await;
    assert_eq!(whole, "line 1\nline 2\nline 3\nline 4\nline 5\n");
    node.until_phase("ends", "Succeeded").await;
    assert_eq!(get(rest, &path).await.1, whole, "of one that is over");
}

/// The runtime's streaming server by way of the kubelet, until it closes: what came on each channel.
async fn websocket(
    rest: &Rest,
    path: &str,
    say: &[&[u8]],
    enough: impl Fn(&[Vec<u8>]) -> bool,
) -> Vec<Vec<u8>> {
    let mut request = format!("wss://127.0.0.1{path}")
        .into_client_request()
        .unwrap();
    let protocol = "v4.channel.k8s.io".parse().unwrap();
    request
        .headers_mut()
        .insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    let stream = rest.connect().await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    for bytes in say {
        socket
            .send(Message::Binary(bytes.to_vec().into()))
            .await
            .unwrap();
    }
    let mut heard = vec![Vec::new(); 4];
    let listen = async {
        while let Some(Ok(message)) = socket.next().await {
            let bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Close(_) => break,
                _ => continue,
            };
            if let Some((channel, text)) = bytes.split_first() {
                heard[usize::from(*channel)].extend_from_slice(text);
            }
            if enough(&heard) {
                break;
            }
        }
    };
    timeout(DONE, listen).await.expect("it ends");
    heard
}

async fn commands_by_websocket(node: &Node, rest: &Rest) {
    let namespace = node.scene.namespace.as_ref();
    let script = "read+line;+echo+heard+$line;+echo+oh+%3E%262;+exit+3";
    let path = format!(
        "/exec/{namespace}/web/talks?command=sh&command=-c&command={script}&input=1&output=1&error=1"
    );
    let heard = websocket(rest, &path, &[b"\0hello\n"], |_| false).await;
    assert_eq!(heard[1], b"heard hello\n");
    assert_eq!(heard[2], b"oh\n");
    let status: Value = serde_json::from_slice(&heard[3]).unwrap();
    assert_eq!(status["reason"], "NonZeroExitCode", "{status}");
    assert_eq!(status["details"]["causes"][0]["message"], "3", "{status}");
    let path = format!("/attach/{namespace}/web/repeats?output=1");
    let heard = websocket(rest, &path, &[], |heard| heard[1].len() > 12).await;
    assert!(heard[1].starts_with(b"again\nagain\n"), "{heard:?}");
    let path = format!("POST /run/{namespace}/web/talks?cmd=echo+a+b");
    let answer = rest.call(&path, "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "a b\n"));
    for (path, code, why) in [
        ("none/a?command=a&output=1", 404, "pod does not exist"),
        (
            "web/none?command=a&output=1",
            500,
            "container not found (\"none\")",
        ),
        (
            "web/talks?command=a",
            400,
            "you must specify at least 1 of stdin, stdout, stderr",
        ),
        (
            "web/talks?command=a&output=1",
            500,
            "Upgrade request required\n",
        ),
    ] {
        let answer = get(rest, &format!("/exec/{namespace}/{path}")).await;
        assert_eq!(answer, (code, why.to_owned()), "{path}");
    }
}

async fn commands_by_spdy(node: &Node, rest: &Rest) {
    let namespace = node.scene.namespace.as_ref();
    let mut stream = rest.connect().await.unwrap();
    let head = format!(
        "POST /exec/{namespace}/web/talks?command=cat&input=1&output=1 HTTP/1.1\r\nHost: n1\r\n\
         Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\
         Content-Length: 0\r\n\r\n"
    );
    // A ping, which the runtime's server answers with the same.
    let ping = [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1];
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let listen = async {
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(&ping).await.unwrap();
        let mut pong = [0; 12];
        stream.read_exact(&mut pong).await.unwrap();
        pong
    };
    assert_eq!(timeout(DONE, listen).await.expect("an answer"), ping);
    let answer = String::from_utf8(answer).unwrap().to_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(answer.contains("upgrade: spdy/3.1\r\n"), "{answer}");
    assert!(
        answer.contains("x-stream-protocol-version: v4.channel.k8s.io\r\n"),
        "{answer}"
    );
    // What the runtime's server refuses is told.
    let head = format!(
        "POST /exec/{namespace}/web/talks?command=cat&output=1\nUpgrade: none/1\nConnection: Upgrade"
    );
    let refused = rest.call(&head, "").await;
    assert!((400..500).contains(&refused.status), "{refused:?}");
}

async fn ports_are_forwarded(node: &Node, rest: &Rest) {
    let namespace = node.scene.namespace.as_ref();
    let path = format!("/portForward/{namespace}/web?port=8080");
    let ask = b"\0GET /health HTTP/1.0\r\n\r\n";
    let heard = websocket(rest, &path, &[ask], |heard| heard[0].ends_with(b"fine\n")).await;
    // The number of the port comes first, on both channels.
    assert_eq!(heard[0][..2], 8080_u16.to_le_bytes());
    let text = String::from_utf8_lossy(&heard[0][2..]);
    assert!(text.starts_with("HTTP/1."), "{text}");
    let none = get(rest, &format!("/portForward/{namespace}/none")).await;
    assert_eq!(none, (404, "pod does not exist".to_owned()));
}

async fn what_is_used(node: &Node, rest: &Rest) {
    let found = async || {
        let (code, summary) = rest.json("GET /stats/summary", &Value::Null).await;
        assert_eq!(code, 200, "{summary}");
        let pods = summary["pods"].as_array().unwrap();
        let web = pods
            .iter()
            .find(|pod| pod["podRef"]["name"] == "web")?
            .clone();
        let rate = web["cpu"]["usageNanoCores"].as_u64();
        rate.map(|_| (summary, web))
    };
    let (summary, web) = wait_until("figures with rates", DONE, found).await;
    let number = |value: &Value| {
        value
            .as_u64()
            .unwrap_or_else(|| panic!("no number in {summary}"))
    };
    let all = &summary["node"];
    assert_eq!(all["nodeName"], "n1");
    assert!(number(&all["memory"]["workingSetBytes"]) > 10_000_000);
    assert!(number(&all["cpu"]["usageCoreNanoSeconds"]) > 1_000_000_000);
    assert!(number(&all["fs"]["capacityBytes"]) >= number(&all["fs"]["availableBytes"]));
    assert!(number(&all["runtime"]["imageFs"]["capacityBytes"]) > 0);
    let memory = number(&web["memory"]["workingSetBytes"]);
    assert!((10_000..500_000_000).contains(&memory), "{web}");
    assert!(number(&web["network"]["txBytes"]) > 0, "{web}");
    let containers = web["containers"].as_array().unwrap();
    let names: Vec<&str> = containers
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(names, ["repeats", "serves", "talks"]);
    let sum: u64 = containers
        .iter()
        .map(|one| number(&one["cpu"]["usageCoreNanoSeconds"]))
        .sum();
    let whole = number(&web["cpu"]["usageCoreNanoSeconds"]);
    assert!(
        sum > 0 && whole > sum / 2 && whole < sum * 20,
        "{whole} of {sum}"
    );
    assert!(number(&containers[2]["logs"]["usedBytes"]) > 0, "{web}");
    let (_, brief) = rest
        .json("GET /stats/summary?only_cpu_and_memory=true", &Value::Null)
        .await;
    assert!(brief["node"]["fs"].is_null() && brief["node"]["cpu"].is_object());
    let (_, figures) = get(rest, "/metrics/resource").await;
    let namespace = node.scene.namespace.as_ref();
    for line in [
        "node_cpu_usage_seconds_total ".to_owned(),
        format!(
            "container_memory_working_set_bytes{{container=\"talks\",namespace=\"{namespace}\",pod=\"web\"}} "
        ),
        format!("pod_cpu_usage_seconds_total{{namespace=\"{namespace}\",pod=\"web\"}} "),
        "resource_scrape_error 0".to_owned(),
    ] {
        assert!(
            figures.contains(&format!("\n{line}")),
            "{line:?} in {figures}"
        );
    }
    let (code, figures) = get(rest, "/metrics").await;
    assert_eq!(code, 200);
    for line in [
        "kubelet_node_name{node=\"n1\"} 1",
        "kubelet_running_pods ",
        "kubelet_running_containers{container_state=\"running\"} ",
        "process_start_time_seconds ",
        "workqueue_adds_total{",
    ] {
        assert!(
            figures.contains(&format!("\n{line}")),
            "{line} in {figures}"
        );
    }
}
