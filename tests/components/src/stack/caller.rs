//! A client outside of the cluster that asks a service again and again.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mainstay_tests::wait_until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::figures::Figures;
use super::limits::{ANSWER_BYTES_MAX, ASK_PATIENCE, ASK_PAUSE, ASKED_MAX, ASKED_MORE, DONE};

/// One request, over a connection of its own.
#[derive(Clone, Debug)]
pub struct Asked {
    pub address: SocketAddr,
    /// When it began.
    pub at: Instant,
    pub took: Duration,
    /// The body, or what went wrong.
    pub answer: Result<String, String>,
}

/// Asks addresses in turn until it is dropped.
#[derive(Debug)]
pub struct Caller {
    asked: Arc<Mutex<Vec<Asked>>>,
    asking: JoinHandle<()>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

impl Caller {
    /// Begins. Must be called within a runtime.
    #[must_use]
    pub fn start(addresses: Vec<SocketAddr>) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let all = Arc::clone(&asked);
        let asking = tokio::spawn(async move {
            for address in addresses.iter().cycle().take(ASKED_MAX) {
                let one = ask(*address).await;
                all.lock().unwrap().push(one);
                sleep(ASK_PAUSE).await;
            }
        });
        Self { asked, asking }
    }

    /// Everything so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How many requests have ended so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Waits for more requests, whatever becomes of them.
    pub async fn goes_on(&self) {
        let wanted = self.count() + ASKED_MORE;
        wait_until("a client asks on", DONE, async || {
            (self.count() >= wanted).then_some(())
        })
        .await;
    }

    /// Those that failed since then: how often, and how the first of each kind.
    #[must_use]
    pub fn failures(&self, since: Instant) -> BTreeMap<String, usize> {
        let mut failures = BTreeMap::new();
        for one in self.asked.lock().unwrap().iter() {
            if let (true, Err(why)) = (one.at >= since, &one.answer) {
                *failures.entry(why.clone()).or_default() += 1;
            }
        }
        failures
    }

    /// When the last request failed.
    #[must_use]
    pub fn last_failure(&self) -> Option<Instant> {
        let asked = self.asked.lock().unwrap();
        let failed = asked.iter().rev().find(|one| one.answer.is_err());
        failed.map(|one| one.at)
    }

    /// How long answers took.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let asked = self.asked.lock().unwrap();
        let good = asked.iter().filter(|one| one.answer.is_ok());
        good.map(|one| one.took).collect()
    }
}

/// One request with a connection of its own, as services spread connections, not requests.
pub async fn ask(address: SocketAddr) -> Asked {
    let at = Instant::now();
    let answer = match timeout(ASK_PATIENCE, get(address)).await {
        Ok(Ok(text)) => body(&text),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer in {} s", ASK_PATIENCE.as_secs())),
    };
    Asked {
        address,
        at,
        took: at.elapsed(),
        answer,
    }
}

async fn get(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET / HTTP/1.0\r\nHost: web\r\n\r\n")
        .await?;
    let mut text = String::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_string(&mut text)
        .await?;
    Ok(text)
}

fn body(text: &str) -> Result<String, String> {
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.trim().to_owned()),
        Some((head, _)) => Err(head.lines().next().unwrap_or_default().to_owned()),
        None => Err("the connection ended before an answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_answers_count() {
        let good = "HTTP/1.1 200 OK\r\nA: b\r\n\r\nweb-1 v1\n";
        assert_eq!(body(good), Ok("web-1 v1".to_owned()));
        let bad = "HTTP/1.1 404 Not Found\r\n\r\n";
        assert_eq!(body(bad), Err("HTTP/1.1 404 Not Found".to_owned()));
        assert!(body("HTTP/1.1 200 OK\r\n").is_err());
        assert!(body("").is_err());
    }
}
