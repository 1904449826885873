//! Logs, commands, files, ports and proxies as kubectl asks for them: by way of an apiserver beside the kubelet.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use mainstay_component_tests::Program;
use mainstay_tests::apiserver::has_kubectl;
use mainstay_tests::ports::Port;
use mainstay_tests::wait::wait_until;
use serde_json::json;

use crate::node::{DONE, Node};

/// kubectl speaks WebSocket, or is told not to and speaks SPDY.
const WAYS: [(&str, &str); 2] = [("true", "WebSocket"), ("false", "SPDY")];
/// Bytes of a file that is copied: more than any buffer on the way holds.
const FILE_BYTES: usize = 3 << 20;

/// A node whose apiserver is in its network, where pods can be reached.
struct Town {
    node: Node,
    server: Program,
    port: Port,
}

/// What a command printed, apart, and its code.
#[derive(Debug)]
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

impl Town {
    async fn start() -> Option<Self> {
        if !has_kubectl() {
            eprintln!("SKIPPED: there is no kubectl");
            return None;
        }
        let mut node = Node::start().await?;
        let store = node.world.cluster.client_port(0);
        node.machine.relay(store);
        let port = Port::take();
        let flags = [
            format!("--etcd-servers=http://127.0.0.1:{store}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", port.number()),
            format!("--cert-dir={}", node.world.server.pki().display()),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
        ];
        let server = Program::start_in(&node.machine.namespace(), "apiserver", &flags);
        let town = Self { node, server, port };
        let ready = async || {
            let said = town.kubectl("true", &["get", "--raw=/readyz"], b"");
            (said.out == "ok").then_some(())
        };
        wait_until("the apiserver is ready", DONE, ready).await;
        Some(town)
    }

    fn command(&self, websockets: &str, words: &[&str]) -> Command {
        let kubeconfig = self.node.world.server.kubeconfig();
        let own = [
            "timeout".to_owned(),
            "60".to_owned(),
            "kubectl".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--server=https://127.0.0.1:{}", self.port.number()),
            format!(
                "--cache-dir={}/cache",
                self.node.machine.dir.path().display()
            ),
            format!("--namespace={}", self.node.scene.namespace),
        ];
        let all: Vec<&str> = own
            .iter()
            .map(String::as_str)
            .chain(words.iter().copied())
            .collect();
        let mut command = self.node.machine.inside(&all);
        command
            .env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets)
            .env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets);
        command
    }

    fn kubectl(&self, websockets: &str, words: &[&str], input: &[u8]) -> Said {
        let mut command = self.command(websockets, words);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may end before it has read anything.
        let _ = stdin.write_all(input);
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        Said {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }

    /// What is answered to a path, or why nothing is.
    fn raw(&self, path: &str) -> String {
        let said = self.kubectl("true", &["get", "--raw", path], b"");
        said.out + &said.err
    }
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_reaches_into_pods_by_websocket_and_by_spdy() {
    let Some(mut town) = Town::start().await else {
        return;
    };
    let serves =
        "mkdir /www; echo '<a href=\"/x\">hello</a>' > /www/index.html; httpd -f -p 8080 -h /www";
    let spec = json!({"containers": [
        {"name": "talks", "command": ["sh", "-c", "echo one; echo two; sleep inf"]},
        {"name": "serves", "command": ["sh", "-c", serves], "ports": [{"containerPort": 8080}]},
        {"name": "listens", "stdin": true,
            "command": ["sh", "-c", "while read line; do echo heard $line; done"]},
    ]});
    town.node.pod("web", spec).await;
    let counts = json!({"restartPolicy": "Never", "containers": [{"name": "a",
        "command": ["sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.3; done"]}]});
    town.node.pod("counts", counts).await;
    town.node.until_ready("web").await;
    let begun =
        |pod: &Pod| (pod.status.as_ref()?.phase.as_deref() != Some("Pending")).then_some(());
    town.node.until("counts", "begins", begun).await;
    logs(&town);
    for (websockets, way) in WAYS {
        commands(&town, websockets, way);
        files(&town, websockets, way);
        attached(&town, websockets, way).await;
        forwarded(&town, websockets, way).await;
    }
    proxies(&town);
    ended(&mut town).await;
}

fn logs(town: &Town) {
    // To its end, and no further.
    let said = town.kubectl("true", &["logs", "-f", "counts"], b"");
    let expected = ("line 1\nline 2\nline 3\n", Some(0));
    assert_eq!((said.out.as_str(), said.code), expected, "{said:?}");
    let said = town.kubectl("true", &["logs", "web", "-c", "talks", "--tail=1"], b"");
    assert_eq!(
        (said.out.as_str(), said.code),
        ("two\n", Some(0)),
        "{said:?}"
    );
    let said = town.kubectl("true", &["logs", "web", "-c", "nobody"], b"");
    assert!(
        said.err
            .contains("container nobody is not valid for pod web"),
        "{said:?}"
    );
    let said = town.kubectl("true", &["logs", "web", "-c", "talks", "--previous"], b"");
    assert!(said.err.contains("(BadRequest)"), "{said:?}");
}

fn commands(town: &Town, websockets: &str, way: &str) {
    let exec = |flags: &[&str], command: &str, input: &[u8]| {
        let words = [
            &["exec", "web", "-c", "talks"],
            flags,
            &["--", "sh", "-c", command],
        ]
        .concat();
        town.kubectl(websockets, &words, input)
    };
    let said = exec(&[], "echo out; echo err >&2; exit 3", b"");
    assert_eq!(
        (said.out.as_str(), said.code),
        ("out\n", Some(3)),
        "{way}: {said:?}"
    );
    assert!(said.err.starts_with("err\n"), "{way}: {said:?}");
    // The end of the input ends the command.
    let said = exec(&["-i"], "cat; echo done", b"some input\n");
    let expected = ("some input\ndone\n", Some(0));
    assert_eq!((said.out.as_str(), said.code), expected, "{way}: {said:?}");
    let words = ["exec", "web", "-c", "talks", "--", "nosuch"];
    let said = town.kubectl(websockets, &words, b"");
    assert!(
        said.err.contains("executable file not found"),
        "{way}: {said:?}"
    );
}

fn files(town: &Town, websockets: &str, way: &str) {
    let sent: Vec<u8> = (0..FILE_BYTES)
        .map(|at| (at * 7 + at / 251) as u8)
        .collect();
    // The shell keeps the output open: containerd 1.6 ends the input together with the output.
    let store = "cat > /tmp/f; true";
    let words = ["exec", "web", "-c", "talks", "-i", "--", "sh", "-c", store];
    let said = town.kubectl(websockets, &words, &sent);
    assert_eq!(said.code, Some(0), "{way}: {said:?}");
    let mut command = town.command(
        websockets,
        &["exec", "web", "-c", "talks", "--", "cat", "/tmp/f"],
    );
    let came = command.output().unwrap();
    assert!(
        came.stdout == sent,
        "{way}: {} bytes came",
        came.stdout.len()
    );
}

fn log_path(town: &Town, name: &str) -> PathBuf {
    town.node.machine.dir.path().join(name)
}

/// Starts kubectl with its output in a file.
fn start(town: &Town, websockets: &str, words: &[&str], log: &str) -> Running {
    let mut command = town.command(websockets, words);
    let file = fs::File::create(log_path(town, log)).unwrap();
    command.stdin(Stdio::piped());
    command.stdout(file.try_clone().unwrap()).stderr(file);
    Running(command.spawn().unwrap())
}

async fn attached(town: &Town, websockets: &str, way: &str) {
    let mut running = start(
        town,
        websockets,
        &["attach", "-i", "web", "-c", "listens"],
        way,
    );
    let stdin = running.0.stdin.as_mut().unwrap();
    writeln!(stdin, "{way}").unwrap();
    let heard = async || {
        let text = fs::read_to_string(log_path(town, way)).unwrap();
        text.contains(&format!("heard {way}\n")).then_some(())
    };
    wait_until("what was typed is heard", DONE, heard).await;
}

async fn forwarded(town: &Town, websockets: &str, way: &str) {
    let port = Port::take().number();
    let pair = format!("{port}:8080");
    let log = format!("{way}-ports");
    let _running = start(town, websockets, &["port-forward", "web", &pair], &log);
    let url = format!("http://127.0.0.1:{port}/");
    let page = async || {
        let mut get = town
            .node
            .machine
            .inside(&["busybox", "wget", "-q", "-O", "-", &url]);
        let said = get.output().unwrap();
        String::from_utf8_lossy(&said.stdout)
            .contains("hello")
            .then_some(())
    };
    wait_until("a forwarded port answers", DONE, page).await;
    wait_until("it answers again", DONE, page).await;
}

fn proxies(town: &Town) {
    let namespace = &town.node.scene.namespace;
    assert_eq!(town.raw("/api/v1/nodes/n1/proxy/healthz"), "ok");
    let pod = format!("/api/v1/namespaces/{namespace}/pods/web/proxy/");
    assert_eq!(town.raw(&pod), format!("<a href=\"{pod}x\">hello</a>\n"));
    let closed = town.raw(&format!(
        "/api/v1/namespaces/{namespace}/pods/web:81/proxy/"
    ));
    assert!(
        closed.contains("error trying to reach service: dial tcp"),
        "{closed}"
    );
    let none = town.raw(&format!(
        "/api/v1/namespaces/{namespace}/services/none/proxy/"
    ));
    assert!(none.contains("not found"), "{none}");
}

/// A server that ends says so to whoever still listens.
async fn ended(town: &mut Town) {
    let words = ["exec", "web", "-c", "talks", "--", "sleep", "300"];
    let mut running = start(town, "true", &words, "ended");
    let streams = async || {
        let list = town.node.machine.ctr(&["tasks", "list"])?;
        // Commands are processes of their own: seen by what they run.
        let found = fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            words == b"sleep\x00300\x00"
        });
        (found && !list.is_empty()).then_some(())
    };
    wait_until("the command runs", DONE, streams).await;
    assert_eq!(town.server.terminate().await, Some(0));
    let left = async || running.0.try_wait().unwrap();
    let status = wait_until("kubectl has ended", Duration::from_secs(30), left).await;
    assert!(!status.success());
    let text = fs::read_to_string(log_path(town, "ended")).unwrap();
    assert!(text.contains("the server is shutting down"), "{text}");
}
