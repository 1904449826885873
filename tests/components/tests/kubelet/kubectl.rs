//! kubectl by way of the apiserver into pods: logs, commands, ports.

use std::process::Stdio;

use mainstay_tests::ports::Port;
use mainstay_tests::wait::wait_until;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::node::{DONE, Node};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_reaches_into_pods() {
    let Some(node) = Node::start_linked().await else {
        return;
    };
    let containers = json!({"containers": [
        {"name": "web", "command": ["sh", "-c",
            "echo begun; mkdir /www; echo fine > /www/health; httpd -f -p 8080 -h /www"]},
        {"name": "repeats", "command": ["sh", "-c", "while true; do echo again; sleep 0.1; done"]},
    ]});
    node.pod("pod", containers).await;
    let counts = json!({"restartPolicy": "Never", "containers": [{"name": "a",
        "command": ["sh", "-c", "for i in 1 2 3 4; do echo line $i; sleep 0.3; done"]}]});
    node.pod("counts", counts).await;
    node.until_ready("pod").await;
    let followed = kubectl(&node, &["logs", "-f", "counts"], b"", true).await;
    assert_eq!(
        followed,
        (true, "line 1\nline 2\nline 3\nline 4\n".to_owned())
    );
    for spdy in [false, true] {
        let run = async |words: &[&str], input: &[u8]| kubectl(&node, words, input, spdy).await;
        let tail = run(&["logs", "pod", "-c", "web", "--tail=1"], b"").await;
        assert_eq!(tail, (true, "begun\n".to_owned()));
        let script = "cat; echo oh >&2; exit 3";
        let exec = ["exec", "-i", "pod", "-c", "web", "--", "sh", "-c", script];
        let (ok, text) = run(&exec, b"hello\n").await;
        assert!(!ok && text.starts_with("hello\noh\n"), "{text}");
        assert!(
            text.contains("command terminated with exit code 3"),
            "{text}"
        );
        let (ok, text) = run(&["exec", "pod", "-c", "none", "--", "true"], b"").await;
        assert!(!ok && text.contains("container none"), "{text}");
        forwards(&node, spdy).await;
    }
    let raw = ["get", "--raw", "/api/v1/nodes/n1/proxy/healthz"];
    assert_eq!(
        kubectl(&node, &raw, b"", false).await,
        (true, "ok".to_owned())
    );
}

fn command(node: &Node, words: &[&str], spdy: bool) -> tokio::process::Command {
    let mut all = vec!["-n", node.scene.namespace.as_ref()];
    all.extend(words);
    let mut command = node.world.server.command(&all);
    let websockets = if spdy { "false" } else { "true" };
    command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets);
    command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets);
    command
}

/// Whether it succeeded, and all it said.
async fn kubectl(node: &Node, words: &[&str], input: &[u8], spdy: bool) -> (bool, String) {
    let mut command = command(node, words, spdy);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).await.unwrap();
    drop(stdin);
    let ended = timeout(DONE, child.wait_with_output()).await;
    let output = ended
        .unwrap_or_else(|_| panic!("kubectl {words:?} does not end"))
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.success(), said)
}

async fn forwards(node: &Node, spdy: bool) {
    let port = Port::take();
    let ports = format!("{}:8080", port.number());
    let mut forwarding = command(node, &["port-forward", "pod/pod", &ports], spdy);
    forwarding.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = forwarding.spawn().unwrap();
    let page = async || {
        let answer = mainstay_tests::http_get::get(port.number(), "/health", None).await;
        answer.ok().filter(|answer| answer.status == 200)
    };
    let answer = wait_until("the pod's page", DONE, page).await;
    assert_eq!(answer.body, "fine\n");
    child.kill().await.unwrap();
}
