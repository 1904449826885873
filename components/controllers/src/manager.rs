//! All controllers of one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;

use mainstay_client::process::Running;
use mainstay_client::{AccessError, Credentials, Events, Informers, Queues};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::clock::Clock;
use crate::context::Context;
use crate::limits::CREDENTIALS_WAIT_MAX;
use crate::options::Options;
use crate::table::{Controller, OWN_IDENTITY};
use mainstay_client::limits::EVENTS_GRACE;

/// Runs controllers until the process is to end, each with the credentials of its service account, or all under
/// the process's own identity. Panics when one of them does, or ends.
///
/// # Errors
/// When the identity that was given cannot be used.
pub async fn manage(
    running: Running,
    controllers: Vec<&'static Controller>,
    options: Options,
    own_credentials: bool,
) -> Result<(), AccessError> {
    let Running {
        access,
        metrics,
        health,
        stop,
        ..
    } = running;
    let own = access.fenced()?;
    let informers = Informers::new(own.clone());
    let credentials = Arc::new(Credentials::new(own.clone()));
    let options = Arc::new(options);
    let mut all_queues = Vec::new();
    let mut working = JoinSet::new();
    let (tell, mut told) = tokio::sync::mpsc::channel(controllers.len().max(1));
    for controller in controllers {
        let (informers, queues) = (informers.part(), Queues::default());
        let may_begin = Arc::new(AtomicBool::new(false));
        health.add(controller.name, check(&informers, &queues, &may_begin));
        all_queues.push(queues.clone());
        let (access, metrics) = (access.clone(), metrics.clone());
        let (credentials, options) = (Arc::clone(&credentials), Arc::clone(&options));
        let (own, tell) = (own.clone(), tell.clone());
        working.spawn(async move {
            let account = controller.service_account;
            let client = match own_credentials && account != OWN_IDENTITY {
                true => {
                    let credential = credentials.of(account).await;
                    access.client_as(&credential, account)
                }
                false => Ok(own),
            };
            let client = client.expect("names of service accounts can be in headers");
            let teller = if account == OWN_IDENTITY {
                controller.name
            } else {
                account
            };
            let events = Events::start(client.clone(), teller);
            // There is room for one from each.
            let _ = tell.try_send(events.clone());
            may_begin.store(true, Ordering::Relaxed);
            tracing::info!("{} starts", controller.name);
            (controller.start)(Context {
                client,
                informers: Arc::new(informers),
                events,
                metrics,
                options,
                clock: Clock::default(),
                queues,
            })
            .await;
            panic!("{} has ended", controller.name);
        });
    }
    tokio::select! {
        () = stop.announced() => {}
        Some(ended) = working.join_next() => match ended {
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            _ => panic!("a controller has ended"),
        },
    }
    join_all(all_queues.iter().map(Queues::close)).await;
    let flushing = async {
        while let Ok(events) = told.try_recv() {
            events.flushed().await;
        }
    };
    let _ = timeout(EVENTS_GRACE, flushing).await;
    Ok(())
}

/// Whether a controller is well: it has its credentials, sees what it needs to see, and none of its workers is stuck.
fn check(
    informers: &Informers,
    queues: &Queues,
    may_begin: &Arc<AtomicBool>,
) -> impl Fn() -> Result<(), String> + Send + Sync + use<> {
    let (sees, queues, begun) = (informers.check(), queues.clone(), Arc::clone(may_begin));
    let since = Instant::now();
    move || {
        let waits = !begun.load(Ordering::Relaxed);
        if waits && since.elapsed() >= CREDENTIALS_WAIT_MAX {
            return Err("it was given no credentials".to_owned());
        }
        sees()?;
        queues.check()
    }
}
