//! Names of others, through the program itself: forwarding, the cache, servers that fail; and how it begins and ends.
//! There is no cluster here: its names are failures of the server, not names that do not exist.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect"
)]

use std::net::{SocketAddr, TcpListener as StdListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dns::wire::{Code, Edns, Message, Name, Query, Record, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Time for something to come about.
const DONE: Duration = Duration::from_secs(20);
/// Time for one answer.
const ANSWER: Duration = Duration::from_secs(8);

/// A port of this machine that is free.
fn free() -> SocketAddr {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

async fn wait_until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begun.elapsed() < DONE, "not in time: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The program under test.
struct Server {
    child: Child,
    address: SocketAddr,
    pages: [SocketAddr; 3],
    log: tempfile::NamedTempFile,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    async fn start(more: &[&str]) -> Self {
        Self::start_at(free(), more).await
    }

    async fn start_at(address: SocketAddr, more: &[&str]) -> Self {
        let pages = [free(), free(), free()];
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_dns"))
            .arg("--master=http://127.0.0.1:1")
            .arg(format!("--listen={address}"))
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--metrics-port={}", pages[0].port()))
            .arg(format!("--health-port={}", pages[1].port()))
            .arg(format!("--ready-port={}", pages[2].port()))
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let server = Self {
            child,
            address,
            pages,
            log,
        };
        wait_until("it is alive", async || server.page(1, "/health").await).await;
        server
    }

    /// Code and text of a page.
    async fn page(&self, number: usize, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.pages[number]).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        let read = timeout(ANSWER, stream.read_to_string(&mut answer)).await;
        read.ok()?.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let code = head.split(' ').nth(1)?.parse().ok()?;
        Some((code, body.to_owned()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    async fn ask(&self, question: &str) -> Message {
        ask(self.address, &asked(question)).await
    }

    async fn says(&self, question: &str) -> String {
        said(&self.ask(question).await)
    }

    async fn comes_to_say(&self, question: &str, answer: &str) {
        wait_until(&format!("{question} is {answer:?}"), async || {
            (self.says(question).await == answer).then_some(())
        })
        .await;
    }
}

/// A question such as `example.com. A`, for a client that takes large answers.
fn asked(question: &str) -> Message {
    let (name, kind) = question.split_once(' ').unwrap();
    let mut message = Message::question(Query {
        name: Name::from_text(name).unwrap(),
        kind: kind.parse().unwrap(),
        class: 1,
    });
    message.edns = Some(Edns {
        payload: 4096,
        version: 0,
        dnssec: false,
    });
    message
}

/// The data of an answer's records, in order, or the code where there are none.
fn said(answer: &Message) -> String {
    let mut lines: Vec<_> = answer.answers.iter().map(|r| r.to_string()).collect();
    lines.sort();
    match lines.is_empty() {
        true => answer.code.unwrap_or(Code::NO_ERROR).to_string(),
        false => lines.join(", "),
    }
}

/// Asks over UDP.
async fn ask(server: SocketAddr, question: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(&question.write()).await.unwrap();
    receive(&socket).await
}

/// The next answer.
async fn receive(socket: &UdpSocket) -> Message {
    let mut buffer = vec![0; 65_535];
    let length = timeout(ANSWER, socket.recv(&mut buffer)).await;
    let length = length.expect("an answer in time").unwrap();
    Message::read(&buffer[..length]).unwrap()
}

/// Sends questions on one connection, all at once, and reads as many answers, in the order in which they come.
async fn ask_tcp(server: SocketAddr, questions: &[Message]) -> Vec<Message> {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let mut bytes = Vec::new();
    for question in questions {
        let question = question.write();
        bytes.extend(u16::try_from(question.len()).unwrap().to_be_bytes());
        bytes.extend(question);
    }
    stream.write_all(&bytes).await.unwrap();
    let mut answers = Vec::new();
    for _ in questions {
        let length = timeout(ANSWER, stream.read_u16()).await;
        let mut answer = vec![0; usize::from(length.expect("an answer in time").unwrap())];
        stream.read_exact(&mut answer).await.unwrap();
        answers.push(Message::read(&answer).unwrap());
    }
    answers
}

/// Another server: it knows `one.example.` and `large.example.`, counts what it is asked over UDP for names below
/// `example.`, and ends when it is dropped.
struct Other {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Other {
    async fn start(address: SocketAddr) -> Self {
        let udp = UdpSocket::bind(address).await.unwrap();
        let tcp = TcpListener::bind(address).await.unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let count = Arc::clone(&asked);
        tasks.spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, client) = udp.recv_from(&mut buffer).await.unwrap();
                let question = Message::read(&buffer[..length]).unwrap();
                let name = question.queries[0].name.to_lowercase().to_string();
                if name.ends_with("example.") {
                    count.fetch_add(1, Ordering::SeqCst);
                }
                let mut answer = answer(&question);
                if answer.answers.len() > 10 {
                    answer.answers.clear();
                    answer.flags.truncated = true;
                }
                let answer = answer.write();
                udp.send_to(&answer, client).await.unwrap();
            }
        });
        tasks.spawn(async move {
            loop {
                let (stream, _) = tcp.accept().await.unwrap();
                // Whoever asks may go as they like.
                let _ = one(stream).await;
            }
        });
        Self {
            address,
            asked,
            _tasks: tasks,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn one(mut stream: TcpStream) -> std::io::Result<()> {
    let mut bytes = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut bytes).await?;
    let answer = answer(&Message::read(&bytes).unwrap()).write();
    stream
        .write_u16(u16::try_from(answer.len()).unwrap())
        .await?;
    stream.write_all(&answer).await
}

fn answer(question: &Message) -> Message {
    let query = question.queries[0].clone();
    let mut answer = Message {
        id: question.id,
        code: Some(Code::NO_ERROR),
        ..Message::default()
    };
    answer.flags.response = true;
    let addresses = match query.name.to_lowercase().to_string().as_str() {
        "one.example." => 1,
        "large.example." => 150,
        _ => 0,
    };
    if query.kind == Type::A {
        for number in 0..addresses {
            let address = [192, 0, 2, number].into();
            answer
                .answers
                .push(Record::address(&query.name, 30, address));
        }
    }
    if addresses == 0 {
        answer.code = Some(Code::NX_DOMAIN);
        let root = Name::root();
        answer
            .authorities
            .push(Record::soa(&root, &root, &root, 1, 25));
    }
    answer.queries.push(query);
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_others_are_asked_once_and_kept() {
    let (place, dead) = (free(), free());
    let other = Other::start(place).await;
    // The first one does not answer: the second one does.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("resolv.conf");
    std::fs::write(&file, "search a\n").unwrap();
    let forward = format!("--forward={},{},{}", file.display(), dead, other.address);
    let server = Server::start(&[&forward, "--forward-policy=sequential"]).await;

    let first = server.ask("one.example. A").await;
    assert_eq!(said(&first), "192.0.2.0");
    assert!(!first.flags.authoritative && first.flags.recursion_available);
    for name in ["one.example. A", "ONE.example. A"] {
        assert_eq!(server.says(name).await, "192.0.2.0");
    }
    for _ in 0..3 {
        let none = server.ask("none.example. A").await;
        assert_eq!(none.code, Some(Code::NX_DOMAIN));
        assert_eq!(none.authorities.len(), 1);
    }
    assert_eq!(other.asked(), 2, "one for each name");
    // What others cut is asked for over TCP, and given as the client can take it.
    let large = ask_tcp(server.address, &[asked("large.example. A")]).await;
    assert_eq!(large[0].answers.len(), 150);
    let cut = server.ask("large.example. A").await;
    assert!(cut.flags.truncated && cut.answers.len() < 150);
    let (_, metrics) = server.page(0, "/metrics").await.unwrap();
    for figure in [
        "coredns_dns_requests_total{server=\"dns://:53\",zone=\".\",view=\"\",proto=\"udp\",family=\"1\",type=\"A\"} ",
        "coredns_dns_request_duration_seconds_count{server=\"dns://:53\",zone=\".\",view=\"\"} ",
        "coredns_dns_responses_total{server=\"dns://:53\",zone=\".\",view=\"\",rcode=\"NXDOMAIN\",plugin=\"cache\"} 2\n",
        "coredns_cache_hits_total{server=\"dns://:53\",type=\"denial\",zones=\".\",view=\"\"} 2\n",
        "coredns_cache_misses_total{server=\"dns://:53\",zones=\".\",view=\"\"} 3\n",
        "coredns_cache_entries{server=\"dns://:53\",type=\"success\",zones=\".\",view=\"\"} 2\n",
        "coredns_proxy_request_duration_seconds_count{proxy_name=\"forward\",",
        "process_resident_memory_bytes ",
    ] {
        assert!(metrics.contains(figure), "{figure} is not in {metrics}");
    }

    // Nobody left: a failure, until somebody is there again.
    drop(other);
    assert_eq!(server.says("two.example. A").await, "SERVFAIL");
    assert_eq!(
        server.says("one.example. A").await,
        "192.0.2.0",
        "from the cache"
    );
    let other = wait_until("the port is free", async || {
        UdpSocket::bind(place).await.ok()?;
        Some(Other::start(place).await)
    })
    .await;
    server.comes_to_say("two.example. A", "NXDOMAIN").await;
    drop(other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_told_to_ask_itself_notices() {
    // Two servers that ask each other.
    let (one, two) = (free(), free());
    let second = Server::start_at(two, &[&format!("--forward={one}")]).await;
    let first = Server::start_at(one, &[&format!("--forward={two}")]).await;
    wait_until("one of them has noticed", async || {
        let logs = format!("{}{}", first.log(), second.log());
        logs.contains("comes back here").then_some(())
    })
    .await;
    let answer = ask(one, &asked("loop.example. A")).await;
    assert_eq!(answer.code, Some(Code::SERV_FAIL));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_known_is_a_failure_and_makes_no_server_ready() {
    let mut server = Server::start(&["--forward=", "--lameduck=1s"]).await;
    let name = "kubernetes.default.svc.cluster.local. A";
    assert_eq!(server.says(name).await, "SERVFAIL");
    assert_eq!(server.says("dns-version.cluster.local. TXT").await, "1.1.0");
    assert_eq!(server.says("one.example. A").await, "REFUSED");
    let (code, why) = server.page(2, "/ready").await.unwrap();
    assert_eq!((code, why.as_str()), (503, "kubernetes"));
    let questions: Vec<_> = (0..100).map(|_| asked(name)).collect();
    assert_eq!(ask_tcp(server.address, &questions).await.len(), 100);

    let pid = server.child.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    // A lame duck still answers.
    assert_eq!(server.says(name).await, "SERVFAIL");
    let status = wait_until("it has ended", async || server.child.try_wait().unwrap()).await;
    assert_eq!(status.code(), Some(0), "{}", server.log());
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    for (flag, says) in [
        ("--forward=nonsense", "nonsense"),
        ("--domain=.", "is not the name of a domain"),
        ("--lameduck=9s", "a lame duck lives 8s at most"),
        ("--forward-policy=best", "round_robin"),
        ("--ttl=x", "invalid"),
    ] {
        let ended = Command::new(env!("CARGO_BIN_EXE_dns"))
            .args(["--master=http://127.0.0.1:1", "--listen=127.0.0.1:0", flag])
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(matches!(ended.status.code(), Some(1 | 2)), "{flag}: {log}");
        assert!(log.contains(says), "{flag}: {log}");
    }
}
