//! The serving threads: one single-threaded runtime per core, each owning its connections.
//!
//! A work-stealing runtime would move a small call between cores for more than the call itself costs.

use super::accept::{self, Accepted, Lane, Socket};
use super::call::Service;
use super::driver::{Driver, KeepAlive};
use super::http1;
use super::listen::{Bound, Role};
use super::registry::{Counted, Registry};
use super::sniff::{self, Protocol, Rewound, TLS_HANDSHAKE};
use crate::http::Pages;
use crate::http2::ConnOptions;
use crate::limits::{
    ACCEPTED_QUEUE, BLOCKING_THREADS_MAX, DRAIN_TIMEOUT, FIRST_BYTES_TIMEOUT, TLS_HANDSHAKE_TIMEOUT,
};
use crate::metrics::Traffic;
use crate::tls::ServerTls;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::task::coop::unconstrained;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// What every serving thread needs; `make` builds the thread's own services.
#[derive(Debug, Clone)]
pub(crate) struct Wiring {
    pub(crate) options: ConnOptions,
    pub(crate) keep_alive: KeepAlive,
    pub(crate) tls: Option<Arc<ServerTls>>,
}

/// Services of one thread: one for every role, and what must run beside the connections.
pub(crate) trait Thread: 'static {
    type Service: Service + Pages;
    fn service(&self, role: Role) -> Rc<Self::Service>;
    fn traffic(&self) -> Rc<Traffic>;
    /// Runs for the life of the thread.
    fn background(self: Rc<Self>) -> impl Future<Output = ()>;
}

/// The running threads.
#[derive(Debug)]
pub(crate) struct Workers {
    lanes: Vec<Lane>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    acceptors: Vec<AbortHandle>,
}

impl Workers {
    /// Starts `count` threads; `make(i)` is called on the i-th.
    pub(crate) fn start<T, F>(count: usize, wiring: &Wiring, make: F) -> io::Result<Self>
    where
        T: Thread,
        F: Fn(usize) -> Rc<T> + Send + Sync + 'static,
    {
        let make = Arc::new(make);
        let (stop, stopped) = watch::channel(false);
        let mut lanes = Vec::new();
        let mut threads = Vec::new();
        for index in 0..count {
            let (queue, accepted) = mpsc::channel(ACCEPTED_QUEUE);
            let open = Arc::new(AtomicUsize::new(0));
            lanes.push(Lane {
                queue,
                open: Arc::clone(&open),
            });
            let wiring = wiring.clone();
            let make = Arc::clone(&make);
            let stopped = stopped.clone();
            let thread = std::thread::Builder::new()
                .name(format!("serve-{index}"))
                .spawn(move || thread_main(&*make, index, &wiring, open, accepted, stopped))?;
            threads.push(thread);
        }
        Ok(Self {
            lanes,
            stop,
            threads,
            acceptors: Vec::new(),
        })
    }

    /// Starts accepting on a listener; must be called within a runtime.
    pub(crate) fn accept(&mut self, bound: Bound) {
        let lanes = self.lanes.clone();
        let accepting = tokio::spawn(async move {
            let address = bound.address.clone();
            if let Err(error) = accept::run(bound, lanes).await {
                tracing::error!(%error, address, "listener failed");
            }
        });
        self.acceptors.push(accepting.abort_handle());
    }

    /// Lets running calls end, then stops the threads. Takes at most the drain time.
    pub(crate) fn stop(self) {
        for acceptor in self.acceptors {
            acceptor.abort();
        }
        let _ = self.stop.send(true);
        drop(self.lanes);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn thread_main<T: Thread>(
    make: &dyn Fn(usize) -> Rc<T>,
    index: usize,
    wiring: &Wiring,
    open: Arc<AtomicUsize>,
    accepted: mpsc::Receiver<Accepted>,
    stopped: watch::Receiver<bool>,
) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build_local(LocalOptions::default());
    match runtime {
        Ok(runtime) => {
            let thread = make(index);
            runtime.block_on(serve(thread, wiring, open, accepted, stopped));
        }
        Err(error) => tracing::error!(%error, "cannot start a serving thread"),
    }
}

async fn serve<T: Thread>(
    thread: Rc<T>,
    wiring: &Wiring,
    open: Arc<AtomicUsize>,
    mut accepted: mpsc::Receiver<Accepted>,
    mut stopped: watch::Receiver<bool>,
) {
    let registry = Registry::new(open);
    tokio::task::spawn_local(Rc::clone(&thread).background());
    loop {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => break,
            socket = accepted.recv() => {
                let Some(socket) = socket else { break };
                let connection = Connection {
                    wiring: wiring.clone(),
                    service: thread.service(socket.role),
                    registry: Rc::clone(&registry),
                    traffic: thread.traffic(),
                };
                tokio::task::spawn_local(connection.run(socket));
            }
        }
    }
    registry.leave();
    let drained = async {
        while !registry.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = timeout(DRAIN_TIMEOUT, drained).await;
}

struct Connection<S> {
    wiring: Wiring,
    service: Rc<S>,
    registry: Rc<Registry>,
    traffic: Rc<Traffic>,
}

impl<S: Service + Pages> Connection<S> {
    async fn run(self, accepted: Accepted) {
        let _counted = Counted::new(&self.registry.open);
        if let Err(error) = self.serve(accepted).await {
            tracing::debug!(%error, "connection ended");
        }
    }

    async fn serve(self, accepted: Accepted) -> io::Result<()> {
        let Accepted {
            socket, plain, tls, ..
        } = accepted;
        match socket {
            Socket::Tcp(socket) => {
                let stream = tokio::net::TcpStream::from_std(socket)?;
                let secure = tls && (!plain || first_byte(&stream).await? == TLS_HANDSHAKE);
                self.secure(stream, secure).await
            }
            Socket::Unix(socket) => {
                self.secure(tokio::net::UnixStream::from_std(socket)?, tls)
                    .await
            }
        }
    }

    async fn secure<IO>(self, stream: IO, secure: bool) -> io::Result<()>
    where
        IO: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Some(tls) = self.wiring.tls.as_ref().filter(|_| secure) else {
            return self.speak(stream).await;
        };
        let acceptor = TlsAcceptor::from(tls.current());
        let handshake = timeout(TLS_HANDSHAKE_TIMEOUT, acceptor.accept(stream));
        match handshake
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        {
            Ok(stream) => self.speak(stream).await,
            Err(error) => {
                // etcd's wording; operators search their logs for it.
                tracing::warn!(%error, "rejected connection on client endpoint");
                Ok(())
            }
        }
    }

    async fn speak<IO>(self, mut io: IO) -> io::Result<()>
    where
        IO: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        match sniff::protocol(&mut io).await? {
            Protocol::Http2(first) => {
                let Wiring {
                    options,
                    keep_alive,
                    ..
                } = self.wiring;
                let driver = Driver::new(
                    io,
                    &first,
                    options,
                    keep_alive,
                    self.service,
                    self.registry,
                    self.traffic,
                );
                drop(first);
                // The driver bounds its own turns.
                unconstrained(driver).await;
            }
            Protocol::Http1(first) => http1::serve(Rewound::new(first, io), self.service).await,
        }
        Ok(())
    }
}

async fn first_byte(stream: &tokio::net::TcpStream) -> io::Result<u8> {
    let mut first = [0];
    match timeout(FIRST_BYTES_TIMEOUT, stream.peek(&mut first)).await {
        Ok(Ok(1)) => Ok(first[0]),
        Ok(Ok(_)) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
