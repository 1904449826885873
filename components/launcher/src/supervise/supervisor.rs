//! The supervisor's own life.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use super::control::{Answer, Request};
use super::keeper::Keeper;
use super::reaper::Reaper;
use super::service::{Service, Status, read_services};
use crate::files;
use crate::limits::{CONTROL_LINE_MAX, CONTROL_PATIENCE};

/// Where a supervisor finds and leaves things.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) services: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) logs: PathBuf,
    /// Whether it waits to be told before it starts anything.
    pub(crate) waits: bool,
}

impl Places {
    /// Those in every host, seen from inside. Nothing starts before the host is plugged in.
    pub(crate) fn of_host() -> Self {
        Self {
            services: PathBuf::from("/etc/mainstay/services.json"),
            socket: PathBuf::from("/run/mainstay.sock"),
            logs: PathBuf::from("/var/log/mainstay"),
            waits: true,
        }
    }

    /// Those in a folder of a machine.
    pub(crate) fn in_folder(folder: &std::path::Path) -> Self {
        Self {
            services: folder.join("services.json"),
            socket: folder.join("supervisor.sock"),
            logs: folder.join("logs"),
            waits: false,
        }
    }
}

#[derive(Clone, Debug)]
struct Supervisor {
    places: Places,
    reaper: Reaper,
    keepers: Arc<Mutex<Vec<Keeper>>>,
}

/// Runs until SIGTERM, then ends everything in order, last started first.
pub(crate) fn supervise(places: &Places) -> Result<()> {
    // Its own session: what happens to the terminal it was started from does not concern it.
    let _ = rustix::process::setsid();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime")?;
    runtime.block_on(live(places.clone()))
}

async fn live(places: Places) -> Result<()> {
    files::folder(&places.logs)?;
    let _ = std::fs::remove_file(&places.socket);
    let mut terminate = signal(SignalKind::terminate())?;
    let supervisor = Supervisor {
        places: places.clone(),
        reaper: Reaper::default(),
        keepers: Arc::default(),
    };
    tokio::spawn(supervisor.reaper.clone().work());
    let listener =
        UnixListener::bind(&places.socket).with_context(|| places.socket.display().to_string())?;
    if !places.waits {
        supervisor.reload().await?;
    }
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let supervisor = supervisor.clone();
                tokio::spawn(async move {
                    let served = timeout(CONTROL_PATIENCE, supervisor.serve(stream)).await;
                    if !matches!(served, Ok(Ok(()))) {
                        tracing::warn!("a question was not answered");
                    }
                });
            },
            _ = terminate.recv() => break,
        }
    }
    let keepers: Vec<Keeper> = supervisor.lock().drain(..).collect();
    for keeper in keepers.iter().rev() {
        keeper.want(false);
    }
    for keeper in keepers.iter().rev() {
        keeper.retire().await;
    }
    let _ = std::fs::remove_file(&places.socket);
    Ok(())
}

impl Supervisor {
    async fn serve(&self, stream: UnixStream) -> Result<()> {
        let (read, mut write) = stream.into_split();
        let mut line = String::new();
        let mut limited = BufReader::new(read.take(CONTROL_LINE_MAX));
        limited.read_line(&mut line).await?;
        let answer = match serde_json::from_str(&line) {
            Ok(request) => match self.answer(request).await {
                Ok(statuses) => Answer::Processes(statuses),
                Err(error) => Answer::Refused(format!("{error:#}")),
            },
            Err(error) => Answer::Refused(error.to_string()),
        };
        let mut text = serde_json::to_string(&answer)?;
        text.push('\n');
        write.write_all(text.as_bytes()).await?;
        Ok(())
    }

    async fn answer(&self, request: Request) -> Result<Vec<Status>> {
        match request {
            Request::Status => {}
            Request::Reload => self.reload().await?,
            Request::Start(name) => self.find(&name)?.want(true),
            Request::Stop(name) => self.find(&name)?.stop().await,
            Request::Kill(name) => self.find(&name)?.kill(),
        }
        Ok(self.lock().iter().map(Keeper::status).collect())
    }

    fn find(&self, name: &str) -> Result<Keeper> {
        let keepers = self.lock();
        let found = keepers.iter().find(|keeper| keeper.service.name == name);
        let names = || {
            let names = keepers.iter().map(|keeper| keeper.service.name.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        found
            .cloned()
            .with_context(|| format!("there is no process {name}: there are {}", names()))
    }

    /// Ends what is not to run any more or has other flags now, and starts what is missing.
    async fn reload(&self) -> Result<()> {
        let services = read_services(&self.places.services)?;
        let old: Vec<Keeper> = {
            let mut keepers = self.lock();
            let (kept, old) = keepers
                .drain(..)
                .partition(|keeper| services.contains(&keeper.service));
            *keepers = kept;
            old
        };
        for keeper in old.iter().rev() {
            keeper.retire().await;
        }
        for service in services {
            self.add(service);
        }
        Ok(())
    }

    fn add(&self, service: Service) {
        let mut keepers = self.lock();
        if keepers.iter().any(|keeper| keeper.service == service) {
            return;
        }
        let log = self.places.logs.join(format!("{}.log", service.name));
        keepers.push(Keeper::start(service, log, self.reaper.clone()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Keeper>> {
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
