//! kubectl's ways into containers: logs, exec, cp, port-forward and proxies, by WebSockets and by SPDY.

use std::net::SocketAddr;
use std::process::Stdio;

use k8s_openapi::api::core::v1::Pod;
use mainstay_component_tests::Scene;
use mainstay_component_tests::is_ready;
use mainstay_component_tests::stack::limits::{COMMAND, DONE};
use mainstay_component_tests::stack::{BUSYBOX, Stack, ask};
use mainstay_tests::wait_until;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

/// Variables that make kubectl speak SPDY instead of WebSockets.
const OVER_SPDY: [&str; 2] = [
    "KUBECTL_REMOTE_COMMAND_WEBSOCKETS",
    "KUBECTL_PORT_FORWARD_WEBSOCKETS",
];

pub(crate) async fn kubectl_reaches_into_containers(stack: &Stack) {
    let scene = stack.scene("streams").await;
    // On every node, as each has a kubelet to be reached.
    let script = r#"for i in 1 2 3 4 5; do echo "line $i"; done
mkdir -p /www; hostname > /www/index.html; httpd -p 8080 -h /www
while true; do echo tick; sleep 1; done"#;
    for worker in stack.workers().into_keys() {
        let _: Pod = scene
            .create(json!({
                "metadata": {"name": format!("on-{worker}"), "labels": {"app": "reached"}},
                "spec": {
                    "nodeSelector": {"kubernetes.io/hostname": worker},
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "a", "image": BUSYBOX, "command": ["sh", "-c", script],
                        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}],
                },
            }))
            .await;
    }
    crashes(&scene).await;
    let pods = scene.api::<Pod>();
    for worker in stack.workers().into_keys() {
        let name = format!("on-{worker}");
        wait_until(&format!("{name} is ready"), DONE, async || {
            is_ready(&pods.get(&name).await.ok()?).then_some(())
        })
        .await;
        logs(stack, &name).await;
        for spdy in [false, true] {
            exec(stack, &name, spdy).await;
            forward(stack, &name, spdy).await;
        }
        copies(stack, &name).await;
        let page = format!("/api/v1/namespaces/streams/pods/{name}:8080/proxy/");
        let page = stack.kubectl(&["get", "--raw", &page]).await;
        assert_eq!(page.trim(), name);
        let health = format!("/api/v1/nodes/{worker}/proxy/healthz");
        let health = stack.kubectl(&["get", "--raw", &health]).await;
        assert_eq!(health.trim(), "ok");
    }
    before_the_crash(stack, &scene).await;
}

fn in_namespace<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["--namespace=streams"];
    all.extend_from_slice(words);
    all
}

async fn logs(stack: &Stack, pod: &str) {
    let all = stack.kubectl(&in_namespace(&["logs", pod])).await;
    assert!(all.starts_with("line 1\nline 2\n"), "{all}");
    let last = stack
        .kubectl(&in_namespace(&["logs", pod, "--tail=1"]))
        .await;
    assert_eq!(last, "tick\n");
    let mut command = stack.kubectl_command(&in_namespace(&["logs", pod, "--follow", "--tail=1"]));
    let mut following = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    for number in 0..3 {
        let line = timeout(COMMAND, lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("line {number} does not come"));
        assert_eq!(line.unwrap().as_deref(), Some("tick"));
    }
}

async fn exec(stack: &Stack, pod: &str, spdy: bool) {
    let script = "cat; echo out; echo err >&2; exit 7";
    let words = in_namespace(&["exec", "-i", pod, "--", "sh", "-c", script]);
    let mut command = stack.kubectl_command(&words);
    if spdy {
        command.envs(OVER_SPDY.map(|name| (name, "false")));
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let mut stdin = running.stdin.take().unwrap();
    stdin.write_all(b"in\n").await.unwrap();
    drop(stdin);
    let output = timeout(COMMAND, running.wait_with_output()).await;
    let output = output.expect("exec ends").unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(out, "in\nout\n", "SPDY {spdy}: {err}");
    assert!(err.starts_with("err\n"), "SPDY {spdy}: {err}");
    assert_eq!(output.status.code(), Some(7), "SPDY {spdy}: {err}");
}

async fn forward(stack: &Stack, pod: &str, spdy: bool) {
    let mut command = stack.kubectl_command(&in_namespace(&["port-forward", pod, ":8080"]));
    if spdy {
        command.envs(OVER_SPDY.map(|name| (name, "false")));
    }
    let mut running = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let line = timeout(COMMAND, lines.next_line()).await;
    let line = line.expect("it forwards").unwrap().expect("it says so");
    // Forwarding from 127.0.0.1:PORT -> 8080
    let address = line.split(' ').nth(2).unwrap_or_default();
    let address: SocketAddr = address.parse().unwrap_or_else(|_| panic!("{line}"));
    for _ in 0..3 {
        assert_eq!(ask(address).await.answer.as_deref(), Ok(pod), "SPDY {spdy}");
    }
}

async fn copies(stack: &Stack, pod: &str) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(at("there"), &bytes).unwrap();
    let inside = format!("{pod}:/tmp/copied");
    let words = in_namespace(&["cp"]);
    for (from, to) in [(at("there"), inside.clone()), (inside, at("back"))] {
        let mut words = words.clone();
        words.extend([from.as_str(), to.as_str()]);
        stack.kubectl(&words).await;
    }
    assert!(
        std::fs::read(at("back")).unwrap() == bytes,
        "a copy differs"
    );
}

/// Ends at once, again and again.
async fn crashes(scene: &Scene) {
    let _: Pod = scene
        .create(json!({
            "metadata": {"name": "crashes"},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
                "name": "a", "image": BUSYBOX, "command": ["sh", "-c", "echo last words; exit 1"],
            }]},
        }))
        .await;
}

async fn before_the_crash(stack: &Stack, scene: &Scene) {
    let pods = scene.api::<Pod>();
    wait_until("it crashes twice", DONE, async || {
        let statuses = pods.get("crashes").await.ok()?.status?.container_statuses?;
        (statuses.first()?.restart_count >= 1).then_some(())
    })
    .await;
    let words = in_namespace(&["logs", "crashes", "--previous"]);
    let said = stack.kubectl(&words).await;
    assert_eq!(said, "last words\n");
}
