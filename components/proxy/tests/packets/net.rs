//! Network namespaces, and what is asked and answered in them.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// For what is answered at once or never.
const SOON: Duration = Duration::from_millis(300);
/// For what is answered even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs a program; panics with what it said if it fails.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

/// Why packets cannot be tried out here.
pub(crate) fn obstacle() -> Option<String> {
    for program in ["ip", "nft", "iptables", "conntrack"] {
        if Command::new(program).arg("-V").output().is_err() {
            return Some(format!("{program} is not installed"));
        }
    }
    let name = format!("mp{}-try", std::process::id());
    let made = Command::new("ip").args(["netns", "add", &name]).output();
    let done = made.is_ok_and(|output| output.status.success());
    if !done {
        return Some("network namespaces cannot be made: not root?".to_owned());
    }
    run("ip", &["netns", "delete", &name]);
    None
}

/// A network namespace, deleted in the end.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    pub(crate) fn new(role: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("mp{}-{number}-{role}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let made = Self { name };
        made.ip("link set lo up");
        made
    }

    /// `ip` in this namespace.
    pub(crate) fn ip(&self, arguments: &str) {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments.split(' '));
        run("ip", &all);
    }

    /// A thread of this namespace, with the sockets and programs it starts.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let file = File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        })
    }

    pub(crate) fn within<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn(work).join().unwrap()
    }

    /// Joins two namespaces: the other end is a router with the first address of the net, this has the second one.
    pub(crate) fn join(&self, router: &Self, net: [u8; 3], link: &str) {
        let [a, b, c] = net;
        router.ip(&format!(
            "link add {link} type veth peer name eth0 netns {}",
            self.name
        ));
        router.ip(&format!("addr add {a}.{b}.{c}.1/24 dev {link}"));
        router.ip(&format!("link set {link} up"));
        self.ip(&format!("addr add {a}.{b}.{c}.2/24 dev eth0"));
        self.ip("link set eth0 up");
        self.ip(&format!("route add default via {a}.{b}.{c}.1"));
    }

    /// Answers over TCP and UDP: with its name and who it thinks is asking. Until this process ends.
    pub(crate) fn answer(&self, name: &'static str, port: u16) {
        self.within(move || {
            let at = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
            let tcp = TcpListener::bind(at).unwrap();
            std::thread::spawn(move || {
                while let Ok((mut stream, peer)) = tcp.accept() {
                    let _ = stream.write_all(format!("{name} {}", peer.ip()).as_bytes());
                }
            });
            let udp = UdpSocket::bind(at).unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 16];
                while let Ok((_, peer)) = udp.recv_from(&mut buffer) {
                    let _ = udp.send_to(format!("{name} {}", peer.ip()).as_bytes(), peer);
                }
            });
        });
    }

    /// Asks over TCP: the answer, "refused", "no answer" or another error.
    pub(crate) fn tcp(&self, to: &str) -> String {
        self.tcp_within(to, PATIENCE)
    }

    /// The same for what should not be answered.
    pub(crate) fn tcp_soon(&self, to: &str) -> String {
        self.tcp_within(to, SOON)
    }

    fn tcp_within(&self, to: &str, patience: Duration) -> String {
        let to: SocketAddr = to.parse().unwrap();
        self.within(move || {
            let mut stream = match TcpStream::connect_timeout(&to, patience) {
                Ok(stream) => stream,
                Err(error) => return told(&error),
            };
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut text = String::new();
            match stream.read_to_string(&mut text) {
                Ok(_) => text,
                Err(error) => told(&error),
            }
        })
    }

    /// A socket of this namespace that sends to one address.
    pub(crate) fn udp(&self, to: &str) -> Asker {
        let to: SocketAddr = to.parse().unwrap();
        self.within(move || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.connect(to).unwrap();
            Asker { socket }
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.name])
            .output();
    }
}

/// Always asks from the same port.
#[derive(Debug)]
pub(crate) struct Asker {
    socket: UdpSocket,
}

impl Asker {
    pub(crate) fn ask(&self) -> String {
        self.socket.set_read_timeout(Some(SOON)).unwrap();
        let mut buffer = [0; 64];
        let asked = self
            .socket
            .send(b"?")
            .and_then(|_| self.socket.recv(&mut buffer));
        match asked {
            Ok(length) => String::from_utf8_lossy(&buffer[..length]).into_owned(),
            Err(error) => told(&error),
        }
    }
}

fn told(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "refused".to_owned(),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "no answer".to_owned(),
        _ => error.to_string(),
    }
}
