//! A network namespace with addresses of pods, from which an apiserver can be reached.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::Duration;

use mainstay_component_tests::{Program, World};
use mainstay_tests::apiserver::Apiserver;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::json;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(5);

/// Why it cannot be built here.
pub(crate) fn obstacle() -> Option<String> {
    for program in ["ip", "nft", "iptables", "nsenter"] {
        if Command::new(program).arg("-V").output().is_err() {
            return Some(format!("{program} is not installed"));
        }
    }
    let name = format!("mpt{}", std::process::id());
    match Command::new("ip").args(["netns", "add", &name]).status() {
        Ok(status) if status.success() => {
            ip(&["netns", "delete", &name]);
            None
        }
        _ => Some("network namespaces cannot be made: not root?".to_owned()),
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments:?}: {said}");
}

pub(crate) struct Town {
    name: String,
    dir: TempDir,
    _server: Apiserver,
}

impl Town {
    /// With an apiserver that knows the proxy's token.
    pub(crate) async fn new(world: &World) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tokens = dir.path().join("tokens.csv");
        std::fs::write(&tokens, "proxy-token,system:kube-proxy,1\n").unwrap();
        let flag = format!("--token-auth-file={}", tokens.display());
        let server =
            Apiserver::start_with(&world.cluster, Some(world.server.pki()), &[&flag]).await;
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {
                "server": format!("https://127.0.0.1:{}", server.port()),
                "certificate-authority": server.pki().join("ca.crt"),
            }}],
            "users": [{"name": "u", "user": {"token": "proxy-token"}}],
        });
        std::fs::write(dir.path().join("kubeconfig"), config.to_string()).unwrap();

        let name = format!("mp{}", std::process::id());
        ip(&["netns", "add", &name]);
        let town = Self {
            name,
            dir,
            _server: server,
        };
        for arguments in [
            "link set lo up",
            "addr add 10.1.0.1/32 dev lo",
            "addr add 10.1.0.2/32 dev lo",
            "link add outside type veth peer name beyond",
            "addr add 10.250.0.1/24 dev outside",
            "link set outside up",
            "link set beyond up",
            // As every node has one: what is routed nowhere never meets the rules.
            "route add default via 10.250.0.2",
        ] {
            let mut all = vec!["-n", &town.name];
            all.extend(arguments.split(' '));
            ip(&all);
        }
        town.relay(town._server.port());
        town
    }

    fn within<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let file = File::open(self.path()).unwrap();
        let inside = std::thread::spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        });
        inside.join().unwrap()
    }

    fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// The same port of loopback in the namespace leads to that outside of it.
    fn relay(&self, port: u16) {
        let listener = self.within(move || TcpListener::bind(("127.0.0.1", port)).unwrap());
        listener.set_nonblocking(true).unwrap();
        tokio::spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((mut inside, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let outside = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
                    if let Ok(mut outside) = outside {
                        let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                    }
                });
            }
        });
    }

    /// Answers at port 8080 of an address, until this process ends.
    pub(crate) fn answer(&self, address: &'static str, name: &'static str) {
        self.within(move || {
            let listener = TcpListener::bind((address, 8080)).unwrap();
            std::thread::spawn(move || {
                while let Ok((mut stream, _)) = listener.accept() {
                    let _ = stream.write_all(name.as_bytes());
                }
            });
        });
    }

    /// Who answers there, or "refused", or another error.
    pub(crate) fn ask(&self, address: &str) -> String {
        let to: SocketAddr = address.parse().unwrap();
        self.within(move || {
            let mut text = String::new();
            let asked = TcpStream::connect_timeout(&to, PATIENCE).and_then(|mut stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.read_to_string(&mut text)
            });
            match asked {
                Ok(_) => text,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => "refused".to_owned(),
                Err(error) => error.to_string(),
            }
        })
    }

    /// Code and text of a page.
    pub(crate) fn page(&self, port: u16, path: &str) -> (u16, String) {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = self.within(move || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        });
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap();
        (code.parse().unwrap(), body.to_owned())
    }

    pub(crate) fn proxy(&self, mode: &str) -> Program {
        let config = self.dir.path().join("kubeconfig");
        let flags = [
            format!("--kubeconfig={}", config.display()),
            format!("--proxy-mode={mode}"),
            "--hostname-override=n1".to_owned(),
            "--cluster-cidr=10.1.0.0/16".to_owned(),
            "--iptables-min-sync-period=0".to_owned(),
        ];
        Program::start_in(&self.path(), "proxy", &flags)
    }

    pub(crate) async fn cleanup(&self) -> Option<i32> {
        let mut program = Program::start_in(&self.path(), "proxy", &["--cleanup".to_owned()]);
        program.ended(Duration::from_secs(20)).await
    }

    /// All rules of the namespace.
    pub(crate) fn rules(&self) -> String {
        self.within(|| {
            let output = Command::new("nft").args(["list", "ruleset"]).output();
            String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
        })
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.name])
            .output();
    }
}
