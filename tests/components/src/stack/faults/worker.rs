//! A worker is lost with all its pods.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use mainstay_tests::wait_until;

use super::Findings;
use super::ground::Ground;
use super::masters::told;
use crate::stack::figures::seconds;
use crate::stack::limits::{DONE, NODE_GRACE, REPLACED_SLACK, TOLERATION_SECONDS};
use crate::stack::pods::node;
use crate::stack::{Caller, lives};

/// From when a node counts as lost until no rule leads to its pods: a write, a watch, a transaction of rules, and a
/// request that had begun before.
const CONVERGED_MAX: Duration = Duration::from_secs(15);

pub(super) async fn lost(ground: &Ground<'_>) -> Findings {
    let (stack, web) = (ground.stack, &ground.web);
    let pods = web.until_ready().await;
    // The one with more of DNS and of the web server is as good as any.
    let worker = node(pods.first().expect("there are replicas"));
    let others = stack
        .workers()
        .into_iter()
        .filter(|(name, _)| *name != worker);
    let living: Vec<SocketAddr> = others.map(|(_, address)| web.address(&address)).collect();
    let caller = Caller::start(living);
    caller.goes_on().await;
    let ledger = ground.ledger("worker").await;
    let killed = Instant::now();
    stack.cut_power(std::slice::from_ref(&worker));
    wait_until(
        "the node counts as lost",
        NODE_GRACE + REPLACED_SLACK,
        async || {
            let ready = stack.nodes().await.ok()?.get(&worker).copied()?;
            (!ready).then_some(())
        },
    )
    .await;
    let noticed = killed.elapsed();
    let patience = Duration::from_secs(TOLERATION_SECONDS) + REPLACED_SLACK;
    let moved = wait_until("all replicas are on other nodes", patience, async || {
        let pods = web.ready().await?;
        pods.iter().all(|pod| node(pod) != worker).then_some(pods)
    })
    .await;
    let replaced = killed.elapsed();
    caller.goes_on().await;
    let converged = caller
        .last_failure()
        .map_or(Duration::ZERO, |at| at - killed);
    assert!(
        converged < noticed + CONVERGED_MAX,
        "requests failed until {converged:?} after the end of {worker}, which counted as lost after {noticed:?}"
    );
    let failed: usize = caller.failures(killed).into_values().sum();
    let asked = caller.asked().iter().filter(|one| one.at >= killed).count();

    stack.mainstay(&["start", &worker]).await;
    stack.nodes_ready().await;
    let all = web.scene.api::<Pod>();
    let labels = ListParams::default().labels("app=web");
    wait_until("what ran on the lost node is gone", DONE, async || {
        let pods = all.list(&labels).await.ok()?.items;
        (pods.len() == moved.len()).then_some(())
    })
    .await;
    let stayed = lives(&web.until_ready().await) == lives(&moved);
    assert!(stayed, "pods were disturbed when {worker} came back");
    ground.starts_pods(&worker).await;
    let mut findings = vec![
        ("counts as lost after".to_owned(), seconds(noticed)),
        (
            "all replicas ready elsewhere after".to_owned(),
            seconds(replaced),
        ),
        ("last failed request after".to_owned(), seconds(converged)),
        (
            "failed of all requests meanwhile".to_owned(),
            format!("{failed} of {asked}"),
        ),
    ];
    findings.extend(told(&[ledger.end().await]));
    findings
}
