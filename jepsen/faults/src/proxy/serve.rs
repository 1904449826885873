//! Accepting connections, finding out whose they are, and carrying them to the target.

use super::identify::Caller;
use super::link::{Link, Links};
use super::pump::{self, Pump};
use super::{Direction, ProxySpec, Ready, Sources};
use crate::limits::{PROXY_CONNECT_DEADLINE, PROXY_CONNECTIONS_MAX};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub(super) async fn serve(
    spec: ProxySpec,
    links: Arc<Links>,
    mut stopped: oneshot::Receiver<()>,
    ready: &Ready,
) {
    let listener = TcpListener::bind(spec.listen)
        .await
        .and_then(|l| Ok((l.local_addr()?, l)));
    let listener = match listener {
        Ok((address, listener)) => {
            // Whoever waits for the answer gets it; nobody else needs it.
            let _ = ready.send(Ok(address));
            listener
        }
        Err(error) => return drop(ready.send(Err(error))),
    };
    let spec = Arc::new(spec);
    let room = Arc::new(Semaphore::new(PROXY_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            // Finished connections are taken out so that the set does not grow.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, caller)) => {
                    let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                        abort(&stream);
                        continue;
                    };
                    let (spec, links) = (Arc::clone(&spec), Arc::clone(&links));
                    connections.spawn(async move {
                        carry(&spec, &links, stream, caller).await;
                        drop(permit);
                    });
                }
                // Such as too many open files: the next attempt may do better.
                Err(error) => {
                    tracing::warn!("a proxy could not accept: {error}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
        }
    }
}

async fn carry(spec: &ProxySpec, links: &Links, caller: TcpStream, address: SocketAddr) {
    let link = match identify(&spec.sources, address, &caller).await {
        Caller::Known(party) => links.of(party),
        Caller::Unknown => Arc::clone(links.unknown()),
        Caller::Gone => return abort(&caller),
    };
    link.tally.accepted.fetch_add(1, Ordering::AcqRel);
    let commands = link.follow();
    let refuse = commands.borrow().rule.refuse;
    let target = if refuse {
        None
    } else {
        connect(spec.target).await
    };
    let Some(target) = target else {
        link.tally.refused.fetch_add(1, Ordering::AcqRel);
        return abort(&caller);
    };
    link.tally.open.fetch_add(1, Ordering::AcqRel);
    let _open = Open(&link);
    // Small messages must not wait for acknowledgements of earlier ones. Without it they are merely slower.
    let _ = (caller.set_nodelay(true), target.set_nodelay(true));
    through(&link, caller, target).await;
}

/// Carries one connection until both directions have ended, one has failed, or a reset is asked for.
async fn through(link: &Link, mut caller: TcpStream, mut target: TcpStream) {
    let mut commands = link.follow();
    let resets = commands.borrow_and_update().resets;
    let reset = {
        let (caller_read, caller_write) = caller.split();
        let (target_read, target_write) = target.split();
        let toward = Pump::new(link, Direction::Toward);
        let back = Pump::new(link, Direction::Back);
        let both = async {
            tokio::try_join!(
                pump::run(toward, caller_read, target_write),
                pump::run(back, target_read, caller_write)
            )
        };
        tokio::select! {
            ended = both => {
                // A failed direction ends the other as well, the hard way, as a broken connection would.
                ended.is_err()
            }
            _ = commands.wait_for(|now| now.resets > resets) => {
                link.tally.reset.fetch_add(1, Ordering::AcqRel);
                true
            }
        }
    };
    if reset {
        abort(&caller);
        abort(&target);
    }
}

async fn identify(sources: &Sources, caller: SocketAddr, stream: &TcpStream) -> Caller {
    match sources {
        Sources::ByAddress(parties) => parties
            .get(&caller.ip())
            .map_or(Caller::Unknown, |party| Caller::Known(*party)),
        Sources::ByProcess(table) => match stream.local_addr() {
            Ok(listen) => table.find(caller, listen).await,
            Err(_) => Caller::Gone,
        },
    }
}

async fn connect(target: SocketAddr) -> Option<TcpStream> {
    timeout(PROXY_CONNECT_DEADLINE, TcpStream::connect(target))
        .await
        .ok()?
        .ok()
}

/// Makes the coming close a reset.
fn abort(stream: &TcpStream) {
    // If it fails the connection is closed in the friendly way; nothing else can be done.
    let _ = stream.set_zero_linger();
}

/// Counts a connection as open.
struct Open<'a>(&'a Link);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.tally.open.fetch_sub(1, Ordering::AcqRel);
    }
}
