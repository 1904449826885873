//! Bytes between two connections, both ways.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split,
};
use tokio::time::{Instant, sleep, timeout};

use crate::limits::{RELAY_BUFFER_BYTES, RELAY_LINGER};

/// Why a relay is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Both sides had said all.
    Done,
    /// One side was lost.
    Lost,
    /// Nothing was said for too long.
    Idle,
}

/// Carries bytes until both sides have ended, one is lost, or no byte has come from either for `idle`. Where one side
/// has ended, the other may go on as long as it has something to say.
pub(super) async fn relay<A, B>(one: A, other: B, idle: Duration) -> Over
where
    A: AsyncRead + AsyncWrite + Send,
    B: AsyncRead + AsyncWrite + Send,
{
    let last = Last::new();
    let (one_from, one_to) = split(one);
    let (other_from, other_to) = split(other);
    let there = carry(one_from, other_to, &last);
    let back = carry(other_from, one_to, &last);
    let (mut there, mut back) = (std::pin::pin!(there), std::pin::pin!(back));
    let first = tokio::select! {
        ended = &mut there => (ended, true),
        ended = &mut back => (ended, false),
        () = last.silence(idle) => return Over::Idle,
    };
    let rest = async {
        match first.1 {
            true => back.await,
            false => there.await,
        }
    };
    if first.0.is_err() {
        return Over::Lost;
    }
    tokio::select! {
        ended = rest => match ended {
            Ok(()) => Over::Done,
            Err(_) => Over::Lost,
        },
        () = last.silence(RELAY_LINGER.min(idle)) => Over::Done,
    }
}

/// When the last byte came.
struct Last {
    begun: Instant,
    /// Milliseconds after that.
    at: AtomicU64,
}

impl Last {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            at: AtomicU64::new(0),
        }
    }

    fn touch(&self) {
        let passed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.at.store(passed, Ordering::Relaxed);
    }

    /// Ends when nothing has come for so long, counted from now at the earliest.
    async fn silence(&self, limit: Duration) {
        let from = Instant::now();
        loop {
            let at = self.begun + Duration::from_millis(self.at.load(Ordering::Relaxed));
            let quiet = at.max(from).elapsed();
            match limit.checked_sub(quiet) {
                Some(left) if !left.is_zero() => sleep(left).await,
                _ => return,
            }
        }
    }
}

async fn carry<R: AsyncRead, W: AsyncWrite>(
    mut from: ReadHalf<R>,
    mut to: WriteHalf<W>,
    last: &Last,
) -> io::Result<()> {
    let mut buffer = vec![0; RELAY_BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            // TLS says that it ends, and waits for nothing; a peer that takes nothing is not waited for.
            let _ = timeout(RELAY_LINGER, to.shutdown()).await;
            return Ok(());
        }
        last.touch();
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
        last.touch();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    #[tokio::test]
    async fn who_has_ended_still_hears_the_other() {
        let (client, front) = duplex(64);
        let (back, server) = duplex(64);
        let relayed = tokio::spawn(relay(front, back, Duration::from_secs(60)));
        let (mut client_from, mut client_to) = split(client);
        let (mut server_from, mut server_to) = split(server);
        client_to.write_all(b"question").await.expect("written");
        client_to.shutdown().await.expect("ended");
        let mut heard = Vec::new();
        server_from.read_to_end(&mut heard).await.expect("read");
        assert_eq!(heard, b"question");
        let long = vec![7; 100_000];
        let answer = long.clone();
        let says = tokio::spawn(async move {
            server_to.write_all(&answer).await.expect("written");
            server_to.shutdown().await.expect("ended");
        });
        let mut heard = Vec::new();
        client_from.read_to_end(&mut heard).await.expect("read");
        assert!(heard == long);
        says.await.expect("said");
        assert_eq!(relayed.await.expect("over"), Over::Done);
    }

    #[tokio::test]
    async fn silence_ends_it() {
        let (_client, front) = duplex(64);
        let (back, _server) = duplex(64);
        let over = relay(front, back, Duration::from_millis(20)).await;
        assert_eq!(over, Over::Idle);
    }
}
