//! Pages at the health-check ports of services: whether this node has endpoints of them.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;

use mainstay_client::Key;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::listener::{Answer, Handler, serve};
use crate::engine::HealthPorts;
use crate::health::Health;

/// Serves a page at each port that is wanted, at the addresses where node ports are served, until it is dropped. A
/// port that somebody else has is tried again at the next change.
pub(crate) async fn serve_balancers(
    mut wanted: watch::Receiver<HealthPorts>,
    addresses: impl Fn() -> Option<Vec<Ipv4Addr>>,
    health: Arc<Health>,
) {
    let mut serving = JoinSet::new();
    let mut open: HashMap<Key, (u16, AbortHandle)> = HashMap::new();
    loop {
        while serving.try_join_next().is_some() {}
        let ports = wanted.borrow_and_update().clone();
        open.retain(|key, (port, task)| {
            let stays = ports.get(key).is_some_and(|(wanted, _)| wanted == port);
            if !stays {
                task.abort();
            }
            stays
        });
        for (key, (port, _)) in ports {
            if open.contains_key(&key) {
                continue;
            }
            let addresses = addresses().unwrap_or_else(|| vec![Ipv4Addr::UNSPECIFIED]);
            match listen(&addresses, port).await {
                Ok(listeners) => {
                    let handler = page(key.clone(), wanted.clone(), Arc::clone(&health));
                    let task = serving.spawn(async move {
                        let mut all = JoinSet::new();
                        for listener in listeners {
                            all.spawn(serve(listener, Arc::clone(&handler)));
                        }
                        all.join_all().await;
                    });
                    open.insert(key, (port, task));
                }
                Err(error) => {
                    tracing::error!(service = %key, "health checks at port {port}: {error}")
                }
            }
        }
        if wanted.changed().await.is_err() {
            return;
        }
    }
}

async fn listen(addresses: &[Ipv4Addr], port: u16) -> std::io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for ip in addresses {
        listeners.push(TcpListener::bind(SocketAddrV4::new(*ip, port)).await?);
    }
    Ok(listeners)
}

fn page(service: Key, told: watch::Receiver<HealthPorts>, health: Arc<Health>) -> Handler {
    Arc::new(move |_| {
        let count = told.borrow().get(&service).map_or(0, |(_, count)| *count);
        let healthy = health.is_healthy(Instant::now());
        let text = json!({
            "service": {"namespace": service.namespace, "name": service.name},
            "localEndpoints": count,
            "serviceProxyHealthy": healthy,
        });
        Answer {
            code: if count > 0 && healthy { 200 } else { 503 },
            media: "application/json",
            text: text.to_string(),
            header: Some(("x-load-balancing-endpoint-weight", count.to_string())),
        }
    })
}
