//! The loop of whoever listens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Pause after an accept that failed: most often too many files are open, and others will end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Gives each connection to `serve`, `most` of them at a time, until it is dropped, which ends all of them.
///
/// Beyond the limit, connections wait in the listener's queue, which the kernel bounds.
pub async fn accept_each<F, S>(listener: TcpListener, most: usize, serve: F)
where
    F: Fn(TcpStream, SocketAddr) -> S,
    S: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(most));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let served = serve(stream, client);
        connections.spawn(async move {
            served.await;
            drop(permit);
        });
    }
}
