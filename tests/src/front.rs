//! One address for several servers, as a load balancer has it.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::ports::Port;

/// Where a front sends connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// To this loopback port. Those that lead elsewhere are broken.
    Port(u16),
    /// New ones are refused; those that exist stay.
    Draining,
    /// New ones are refused, and those that exist are broken.
    Nowhere,
}

/// Passes connections on to one server at a time.
#[derive(Debug)]
pub struct Front {
    port: Port,
    to: watch::Sender<To>,
    task: JoinHandle<()>,
}

impl Front {
    /// Listens on a free loopback port.
    pub fn of(target: u16) -> Self {
        let port = Port::take();
        let (to, told) = watch::channel(To::Port(target));
        Self {
            task: tokio::spawn(serve(port.number(), told)),
            port,
            to,
        }
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Sends connections elsewhere from now on.
    pub fn point(&self, to: To) {
        self.to.send_replace(to);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(port: u16, mut told: watch::Receiver<To>) {
    loop {
        let to = *told.borrow_and_update();
        let accept = async {
            let To::Port(target) = to else {
                return std::future::pending().await;
            };
            let listener = TcpListener::bind(("127.0.0.1", port))
                .await
                .expect("the port is ours");
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near, target, told.clone()));
            }
        };
        let mut changed = told.clone();
        tokio::select! {
            () = accept => return,
            pointed = changed.changed() => if pointed.is_err() { return },
        }
    }
}

async fn pass(mut near: TcpStream, target: u16, mut told: watch::Receiver<To>) {
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let broken = |to: &To| !matches!(to, To::Draining) && *to != To::Port(target);
    tokio::select! {
        // Either end may close; that ends the connection.
        _ = copy_bidirectional(&mut near, &mut far) => {}
        // Pointed elsewhere, or gone.
        _ = told.wait_for(broken) => {}
    }
}
