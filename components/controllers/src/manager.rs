//! All controllers of one process.

use std::sync::Arc;

use mainstay_client::process::Running;
use mainstay_client::{AccessError, Credentials, Events, Informers, Queues};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::context::Context;
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
    let informers = Arc::new(Informers::new(own.clone()));
    let credentials = Arc::new(Credentials::new(own.clone()));
    let options = Arc::new(options);
    let queues = Queues::default();
    let mut working = JoinSet::new();
    let (tell, mut told) = tokio::sync::mpsc::channel(controllers.len().max(1));
    for controller in controllers {
        health.add(controller.name, || Ok(()));
        let (access, metrics) = (access.clone(), metrics.clone());
        let (informers, options) = (Arc::clone(&informers), Arc::clone(&options));
        let (credentials, queues) = (Arc::clone(&credentials), queues.clone());
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
            tracing::info!("{} starts", controller.name);
            (controller.start)(Context {
                client,
                informers,
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
    queues.close().await;
    let flushing = async {
        while let Ok(events) = told.try_recv() {
            events.flushed().await;
        }
    };
    let _ = timeout(EVENTS_GRACE, flushing).await;
    Ok(())
}
