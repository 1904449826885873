//! A machine for a kubelet: a network namespace with a containerd in it, and a way from there to the apiserver.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mainstay_tests::ports::Port;
use mainstay_tests::process::Process;
use mainstay_tests::wait::wait_until;
use tempfile::TempDir;

const PROGRAMS: [&str; 8] = [
    "containerd",
    "ctr",
    "runc",
    "ip",
    "nsenter",
    "unshare",
    "socat",
    "tar",
];
const PLUGINS: [&str; 3] = ["bridge", "host-local", "loopback"];
const PLUGINS_DIR: &str = "/usr/lib/cni";
const BUSYBOX: &str = "/bin/busybox";
pub(crate) const IMAGE: &str = "mainstay.test/busybox:1";
const PAUSE: &str = "mainstay.test/pause:1";

/// Ends with all that runs in it.
pub(crate) struct Machine {
    pub(crate) dir: TempDir,
    name: String,
    containerd: Option<Process>,
    /// Keeps the mounts.
    holder: Option<Process>,
    relays: Vec<Process>,
}

/// What is missing for a machine.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("root".to_owned());
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found =
        |program: &str| std::env::split_paths(&paths).any(|dir| dir.join(program).is_file());
    let program = PROGRAMS.into_iter().find(|program| !found(program));
    let plugin = PLUGINS
        .into_iter()
        .find(|plugin| !Path::new(PLUGINS_DIR).join(plugin).is_file());
    let busybox = (!Path::new(BUSYBOX).is_file()).then_some(BUSYBOX);
    program.or(plugin).or(busybox).map(str::to_owned)
}

impl Machine {
    /// With a way to the apiserver at `port`. `None`, and a line that says why, where there cannot be one.
    pub(crate) async fn start(port: u16) -> Option<Self> {
        if let Some(missing) = missing() {
            skip(&format!("there is no {missing}"));
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let name = format!("kt{}-{port}", std::process::id());
        if !run("ip", &["netns", "add", &name]) {
            skip("no network namespace can be made");
            return None;
        }
        let mut machine = Self {
            dir,
            name,
            containerd: None,
            holder: None,
            relays: Vec::new(),
        };
        assert!(
            machine
                .inside(&["ip", "link", "set", "lo", "up"])
                .status()
                .unwrap()
                .success()
        );
        machine.relay(port);
        machine.configure();
        machine.hold_mounts().await;
        machine.start_containerd().await;
        machine.import(PAUSE, &["/bin/busybox", "sleep", "inf"]);
        machine.import(IMAGE, &["/bin/sh"]);
        Some(machine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("containerd.sock")
    }

    /// A cgroup of its own for pods.
    pub(crate) fn cgroup(&self) -> String {
        format!("/{}", self.name)
    }

    /// The file of the network namespace.
    pub(crate) fn namespace(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// A command within the namespace. Not `ip netns exec`: that hides cgroups.
    pub(crate) fn inside(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.name))
            .arg("--")
            .args(words);
        command.stdin(Stdio::null());
        command
    }

    /// The same with the machine's own mounts: what the kubelet mounts there, containerd sees.
    pub(crate) fn in_place(&self, words: &[&str]) -> Command {
        let holder = self.holder.as_ref().unwrap().id();
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.name))
            .arg(format!("--mount=/proc/{holder}/ns/mnt"))
            .arg("--")
            .args(words);
        command.stdin(Stdio::null());
        command
    }

    /// What listens on a port of the loopback outside also does inside, by way of a socket in the file system.
    pub(crate) fn relay(&mut self, port: u16) {
        let socket = self.path(&format!("relay-{port}.sock"));
        let outside = [
            format!("UNIX-LISTEN:{},fork", socket.display()),
            format!("TCP:127.0.0.1:{port}"),
        ];
        let inside = [
            format!("TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"),
            format!("UNIX-CONNECT:{}", socket.display()),
        ];
        let mut command = Command::new("socat");
        command.args(outside).stdin(Stdio::null());
        self.relays.push(Process::spawn(command).unwrap());
        let command = self.inside(&["socat", &inside[0], &inside[1]]);
        self.relays.push(Process::spawn(command).unwrap());
    }

    /// What listens on a port of the loopback inside can be reached outside at another.
    pub(crate) async fn expose(&mut self, port: u16) -> Port {
        let outer = Port::take();
        let socket = self.path(&format!("expose-{port}.sock"));
        let inside = [
            format!("UNIX-LISTEN:{},fork", socket.display()),
            format!("TCP:127.0.0.1:{port}"),
        ];
        let outside = [
            format!(
                "TCP-LISTEN:{},bind=127.0.0.1,fork,reuseaddr",
                outer.number()
            ),
            format!("UNIX-CONNECT:{}", socket.display()),
        ];
        let command = self.inside(&["socat", &inside[0], &inside[1]]);
        self.relays.push(Process::spawn(command).unwrap());
        let mut command = Command::new("socat");
        command.args(outside).stdin(Stdio::null());
        self.relays.push(Process::spawn(command).unwrap());
        let up = async || {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", outer.number())).await;
            (socket.exists() && stream.is_ok()).then_some(())
        };
        wait_until("a port is exposed", Duration::from_secs(60), up).await;
        outer
    }

    fn configure(&self) {
        let dir = self.dir.path().display();
        fs::create_dir(self.path("cni")).unwrap();
        let network = serde_json::json!({
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [{
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": self.path("addresses"),
                    "ranges": [[{"subnet": "10.88.0.0/24"}]],
                },
            }],
        });
        fs::write(self.path("cni/10-pods.conflist"), network.to_string()).unwrap();
        let config = format!(
            "version = 2\nroot = \"{dir}/root\"\nstate = \"{dir}/state\"\n\
             [grpc]\naddress = \"{dir}/containerd.sock\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"{PAUSE}\"\nrestrict_oom_score_adj = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"{PLUGINS_DIR}\"\nconf_dir = \"{dir}/cni\"\n"
        );
        fs::write(self.path("containerd.toml"), config).unwrap();
    }

    /// A place for mounts of its own, since some folders of containerd's and of the plugins' are the same for all of a
    /// machine. Those that the kubelet makes later are seen there.
    async fn hold_mounts(&mut self) {
        let dir = self.dir.path().display();
        let script = format!(
            "set -e; for pair in run:/run/containerd cni-state:/var/lib/cni netns:/run/netns; do \
             mkdir -p {dir}/${{pair%%:*}} ${{pair#*:}}; mount --bind {dir}/${{pair%%:*}} ${{pair#*:}}; done; \
             touch {dir}/held; exec sleep inf"
        );
        let words = [
            "unshare",
            "--mount",
            "--propagation=slave",
            "sh",
            "-c",
            &script,
        ];
        let command = self.inside(&words);
        self.holder = Some(Process::spawn(command).unwrap());
        let held = self.path("held");
        let held = async || held.exists().then_some(());
        wait_until("mounts are held", Duration::from_secs(60), held).await;
    }

    pub(crate) async fn start_containerd(&mut self) {
        let config = self.path("containerd.toml");
        let words = ["containerd", "-c", config.to_str().unwrap()];
        let mut command = self.in_place(&words);
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("containerd.log"))
            .unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.containerd = Some(Process::spawn(command).unwrap());
        let up = async || self.ctr(&["version"]).is_some().then_some(());
        wait_until("containerd answers", Duration::from_secs(60), up).await;
    }

    /// SIGKILL.
    pub(crate) fn kill_containerd(&mut self) {
        self.containerd = None;
    }

    /// What `ctr` says, if it succeeds.
    pub(crate) fn ctr(&self, words: &[&str]) -> Option<String> {
        let output = Command::new("ctr")
            .arg("--address")
            .arg(self.socket())
            .args(["--namespace", "k8s.io"])
            .args(words)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Makes an image of nothing but busybox and imports it.
    fn import(&self, name: &str, command: &[&str]) {
        let at = tempfile::tempdir().unwrap();
        let (root, image) = (at.path().join("root"), at.path().join("image"));
        for dir in ["bin", "tmp", "etc", "dev", "proc", "sys", "var"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::create_dir(&image).unwrap();
        fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
        for applet in [
            "sh", "sleep", "cat", "echo", "httpd", "kill", "ls", "test", "touch", "true", "wget",
        ] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        let tar = |from: &Path, to: &Path| {
            let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
            assert!(run("tar", &["-C", from, "-cf", to, "."]));
        };
        let layer = image.join("layer.tar");
        tar(&root, &layer);
        let sum = Command::new("sha256sum").arg(&layer).output().unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap();
        let sum = sum.split_whitespace().next().unwrap();
        let config = serde_json::json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {"Cmd": command, "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{sum}")]},
        });
        fs::write(image.join("config.json"), config.to_string()).unwrap();
        let manifest = serde_json::json!([
            {"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]},
        ]);
        fs::write(image.join("manifest.json"), manifest.to_string()).unwrap();
        let all = at.path().join("image.tar");
        tar(&image, &all);
        let imported = self.ctr(&["images", "import", all.to_str().unwrap()]);
        assert!(imported.is_some(), "{name} is not imported");
    }

    /// Ids of what runs: containers, and the sandboxes' own.
    pub(crate) fn tasks(&self) -> Vec<(String, String)> {
        let tasks = self.ctr(&["tasks", "list"]).unwrap_or_default();
        let lines = tasks.lines().skip(1);
        lines
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                Some((words.next()?.to_owned(), words.next()?.to_owned()))
            })
            .collect()
    }

    /// Of pods that were not ended by the kubelet.
    fn remove_cgroups(&self) {
        for tree in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let own = tree.path().join(&self.name);
            if own.is_dir() {
                let own = own.to_str().unwrap();
                run(
                    "find",
                    &[own, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"],
                );
            }
        }
    }

    /// What containerd left running when it was ended: its shims are known by this machine's folder.
    fn end_shims(&self) {
        let socket = self.socket();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let mut words = words.split(|byte| *byte == 0);
            let shim = words
                .next()
                .is_some_and(|word| word.ends_with(b"containerd-shim-runc-v2"));
            if shim && words.any(|word| word == socket.as_os_str().as_encoded_bytes()) {
                let _ = rustix::process::kill_process(
                    rustix::process::Pid::from_raw(pid).unwrap(),
                    rustix::process::Signal::KILL,
                );
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.path("containerd.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(20);
            eprintln!("containerd:\n{}", lines[last..].join("\n"));
        }
        for (_, pid) in self.tasks() {
            run("kill", &["-9", &pid]);
        }
        self.end_shims();
        self.containerd = None;
        self.holder = None;
        self.relays.clear();
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let own = self.dir.path().to_str().unwrap();
        let mut points: Vec<&str> = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|point| point.starts_with(own))
            .collect();
        points.reverse();
        for point in points {
            run("umount", &["-l", point]);
        }
        run("ip", &["netns", "delete", &self.name]);
        self.remove_cgroups();
    }
}

fn run(program: &str, words: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn skip(why: &str) {
    eprintln!("skipped: no kubelet is tested, as {why}");
}
