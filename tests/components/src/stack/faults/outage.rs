//! There is no control plane for a while.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Findings;
use super::ground::Ground;
use super::masters::told;
use super::watch::Watch;
use crate::stack::figures::seconds;
use crate::stack::limits::{NODE_GRACE, TOLERATION_SECONDS};

/// Beyond grace and toleration: by then whoever wanted to evict would have.
const SETTLED: Duration = Duration::from_secs(20);

pub(super) async fn of_all_masters(ground: &Ground<'_>, length: Duration) -> Findings {
    let stack = ground.stack;
    let watch = Watch::begin(ground).await;
    let ledger = ground.ledger("outage").await;
    let running = tasks(ground).await;
    let masters: Vec<String> = stack.masters().into_keys().collect();
    stack.cut_power(&masters);
    let begun = Instant::now();
    while begun.elapsed() < length {
        let before = watch.caller.count();
        sleep(Duration::from_secs(1)).await;
        watch.answered("without masters");
        assert!(watch.caller.count() > before, "a client got stuck");
    }
    watch.caller.goes_on().await;
    assert_eq!(tasks(ground).await, running, "containers without masters");

    let back = Instant::now();
    stack.up_again().await;
    ledger.goes_on().await;
    let writes = back.elapsed();
    stack.masters_ready().await;
    let settled = NODE_GRACE + Duration::from_secs(TOLERATION_SECONDS) + SETTLED;
    while back.elapsed() < settled {
        watch.alive("masters came back").await;
        watch.answered("masters came back");
        sleep(Duration::from_secs(1)).await;
    }
    stack.nodes_ready().await;
    let waited = watch.undisturbed("masters came back").await;
    for worker in stack.workers().into_keys() {
        ground.starts_pods(&worker).await;
    }
    let mut findings = vec![
        ("without masters".to_owned(), seconds(length)),
        (
            "requests meanwhile, none failed".to_owned(),
            waited.count().to_string(),
        ),
        (
            "their answers p50 / p99 / max".to_owned(),
            waited.to_string(),
        ),
        ("writes go on after".to_owned(), seconds(writes)),
    ];
    findings.extend(told(&[ledger.end().await]));
    findings
}

/// Ids of all containers that run on workers, by the runtimes' own account.
async fn tasks(ground: &Ground<'_>) -> BTreeSet<String> {
    let mut tasks = BTreeSet::new();
    for worker in ground.stack.workers().into_keys() {
        let list = ["ctr", "--namespace=k8s.io", "tasks", "list"];
        let said = ground.stack.on_host(&worker, &list).await;
        assert!(said.ok, "{}", said.text);
        let lines = said.text.lines().filter(|line| line.contains("RUNNING"));
        tasks.extend(lines.map(|line| format!("{worker} {line}")));
    }
    tasks
}
