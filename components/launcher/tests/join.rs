//! A second machine joins, runs pods that those of the first one reach, and leaves nothing behind. Both are networks of
//! their own; the second has a `/run` of its own, too. Needs root, containers and kubectl.

mod common;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::missing;

const PATIENCE: Duration = Duration::from_secs(60);
const FIRST: &str = "192.0.2.1";
const SECOND: &str = "192.0.2.2";

/// A machine, as long as it lives.
struct Machine {
    child: Child,
    folder: PathBuf,
}

impl Machine {
    fn new(folder: PathBuf) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-c"]).arg(
            "mount -t tmpfs tmpfs /run; ip link set lo up; echo 0 > /proc/sys/net/ipv4/ip_forward; \
             echo ready; exec sleep 600",
        );
        command.stdout(Stdio::piped());
        let mut child = command.spawn().expect("unshare is there");
        let output = child.stdout.as_mut().expect("a pipe");
        let mut ready = [0; 6];
        output.read_exact(&mut ready).expect("it is made");
        Self { child, folder }
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.child.id().to_string(), "--net", "--mount"]);
        // Whatever does not answer must not stop the test.
        command.args(["timeout", "120", program]).args(arguments);
        command.output().expect("nsenter is there")
    }

    fn says(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {out}\n{err}"
        );
        out
    }

    fn mainstay(&self, arguments: &[&str]) -> Output {
        let folder = self.folder.display().to_string();
        let arguments = [&["--dir", &folder], arguments].concat();
        self.run(env!("CARGO_BIN_EXE_mainstay"), &arguments)
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let folder = self.folder.display().to_string();
        let arguments = [&["--dir", &folder], arguments].concat();
        self.says(env!("CARGO_BIN_EXE_mainstay"), &arguments)
    }

    fn refuses(&self, arguments: &[&str], why: &str) {
        let output = self.mainstay(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{said}");
    }

    fn kubectl(&self, arguments: &[&str]) -> Output {
        let config = self.folder.join("admin.kubeconfig").display().to_string();
        let arguments = [
            &["--kubeconfig", &config, "--request-timeout=20s"],
            arguments,
        ];
        self.run("kubectl", &arguments.concat())
    }

    /// Waits until kubectl says something.
    fn until(&self, arguments: &[&str], wanted: &str) -> String {
        let begun = Instant::now();
        loop {
            let output = self.kubectl(arguments);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() && said.contains(wanted) {
                return said;
            }
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(begun.elapsed() < PATIENCE, "{arguments:?}: {said}\n{error}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Nothing is there to stop after the test's own end.
        let _ = self.mainstay(&["down", "--delete"]);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lacks() -> Option<String> {
    let program = env!("CARGO_BIN_EXE_mainstay");
    let doctor = Command::new(program).arg("doctor").output();
    let said = doctor.expect("the program is there").stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    let kubectl = Command::new("kubectl")
        .args(["version", "--client"])
        .output()
        .is_ok_and(|run| run.status.success());
    let line = said.lines().find(|line| line.starts_with("missing"));
    missing()
        .or_else(|| line.map(str::to_owned))
        .or_else(|| (!kubectl).then(|| "kubectl".to_owned()))
}

fn machines(folder: &Path) -> (Machine, Machine) {
    let first = Machine::new(folder.join("first"));
    let second = Machine::new(folder.join("second"));
    let pid = second.child.id().to_string();
    let pair = ["type", "veth", "peer", "name", "eth0", "netns", &pid];
    first.says("ip", &[&["link", "add", "up0"], &pair[..]].concat());
    for (machine, link, address) in [(&first, "up0", FIRST), (&second, "eth0", SECOND)] {
        let address = format!("{address}/24");
        machine.says("ip", &["addr", "add", &address, "dev", link]);
        machine.says("ip", &["link", "set", link, "up"]);
    }
    (first, second)
}

/// A web server that answers with its name.
fn pod(first: &Machine, node: &str) -> (String, String) {
    let name = format!("on-{node}");
    let spec = format!(r#"{{"spec":{{"nodeName":"{node}","terminationGracePeriodSeconds":1}}}}"#);
    let overrides = format!("--overrides={spec}");
    let image = "--image=mainstay.io/busybox:local";
    let asked = [
        "run",
        &name,
        image,
        "--image-pull-policy=IfNotPresent",
        &overrides,
        "--expose",
        "--port=80",
    ];
    let served = ["--", "httpd", "-f", "-v", "-p", "80", "-h", "/etc"];
    first.until(&[&asked[..], &served[..]].concat(), "created");
    let ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
    first.until(&["get", "pod", &name, "-o", ready], "True");
    let address = ["get", "pod", &name, "-o", "jsonpath={.status.podIP}"];
    let address = first.until(&address, ".");
    (name, address)
}

#[test]
fn a_second_machine_joins_runs_pods_and_leaves_nothing() {
    if let Some(missing) = lacks() {
        eprintln!("skipped: a second machine needs what is missing here: {missing}");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = machines(folder.path());
    first.succeeds(&["up", "--hosts", "--masters=1", "--workers=1"]);
    let create = ["token", "create", "--print-join-command"];
    first.refuses(&create, "up --advertise ADDRESS");
    // A cluster that serves gets another way in, and certificates for it.
    let advertise = format!("--advertise={FIRST}");
    first.succeeds(&["up", "--masters=1", "--workers=1", &advertise]);
    let command = first.succeeds(&[&create[..], &["--ttl=1h"]].concat());
    let words: Vec<&str> = command.split_whitespace().collect();
    let ["mainstay", "join", server, "--token", token, flag, pin] = words[..] else {
        panic!("{command}");
    };
    assert!(first.succeeds(&["token", "list"]).contains(token));

    let (id, _) = token.split_once('.').expect("two parts");
    let forged = format!("{id}.0123456789abcdef");
    second.refuses(
        &["join", server, "--token", &forged, flag, pin],
        "not signed with this token",
    );
    let other = format!("sha256:{}", "0".repeat(64));
    second.refuses(
        &["join", server, "--token", token, flag, &other],
        "the cluster's authority is sha256:",
    );
    second.refuses(&["join"], "--print-join-command");
    assert!(!second.folder.join("joined.json").exists());

    let join = ["join", server, "--token", token, flag, pin, "--name=second"];
    let said = second.succeeds(&join);
    assert!(said.contains("The node second is ready"), "{said}");
    // It proves itself by its own certificate from now on.
    let gone = first.succeeds(&["token", "delete", id]);
    assert!(gone.contains(id) && !first.succeeds(&["token", "list"]).contains(id));
    second.succeeds(&["join"]);
    let processes = second.succeeds(&["status"]);
    for process in ["balancer", "containerd", "kubelet", "network", "proxy"] {
        assert!(processes.contains(process), "{processes}");
    }
    let said = second.succeeds(&["logs", "kubelet"]);
    assert!(said.contains("registered"), "{said}");
    second.refuses(&["join", "--name=other"], "has joined");

    let (on_worker, worker_address) = pod(&first, "worker-1");
    let (on_second, second_address) = pod(&first, "second");
    for host in [&second_address, &on_second] {
        let url = format!("http://{host}/hostname");
        first.until(
            &["exec", &on_worker, "--", "wget", "-qO-", &url],
            &on_second,
        );
    }
    let requests = "jsonpath={range .items[?(@.spec.signerName=='kubernetes.io/kubelet-serving')]}{.metadata.name} {end}";
    let requests = first.until(&["get", "csr", "-o", requests], "csr-");
    for request in requests.split_whitespace() {
        first.until(&["certificate", "approve", request], "approved");
    }
    for host in [&worker_address, &on_worker] {
        let url = format!("http://{host}/hostname");
        first.until(
            &["exec", &on_second, "--", "wget", "-qO-", &url],
            &on_worker,
        );
    }
    first.until(&["logs", &on_second], "response:200");

    let said = second.succeeds(&["leave"]);
    assert!(said.contains("kubectl delete node second"), "{said}");
    assert!(!second.folder.exists(), "its files are gone");
    let routes = second.says("ip", &["route"]);
    assert_eq!(routes.lines().count(), 1, "{routes}");
    let links = second.says("ip", &["-o", "link"]);
    assert_eq!(links.lines().count(), 2, "{links}");
    let rules = second.says("nft", &["list", "ruleset"]);
    assert!(
        !rules.contains("mainstay") && !rules.contains("kube-proxy"),
        "{rules}"
    );
    let forwards = second.says("cat", &["/proc/sys/net/ipv4/ip_forward"]);
    assert_eq!(forwards.trim(), "0");
    let mounts = second.says("cat", &["/proc/self/mountinfo"]);
    let below = second.folder.display().to_string();
    assert!(!mounts.contains(&below), "{mounts}");
    let noted = second.run("ls", &["/run/mainstay/cni"]);
    assert!(!noted.status.success(), "notes of addresses are left");
    assert!(second.succeeds(&["leave"]).contains("has not joined"));
}
