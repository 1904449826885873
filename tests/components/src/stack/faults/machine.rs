//! The power of everything goes, and comes again without anybody's help but `mainstay up`.

use std::time::Instant;

use super::Findings;
use super::ground::Ground;
use super::masters::told;
use crate::stack::Caller;
use crate::stack::figures::seconds;

pub(super) async fn power_cut(ground: &Ground<'_>) -> Findings {
    let stack = ground.stack;
    let ledger = ground.ledger("power").await;
    let mut hosts: Vec<String> = stack.masters().into_keys().collect();
    hosts.extend(stack.workers().into_keys());
    stack.cut_power(&hosts);
    let begun = Instant::now();
    let up = stack.up_again().await;
    ledger.goes_on().await;
    let writes = begun.elapsed();
    stack.nodes_ready().await;
    // Containers of before are gone with the power; ready is who was started again and asked anew.
    let caller = Caller::start(ground.web.addresses());
    caller.goes_on().await;
    ground.web.until_ready().await;
    let ready = begun.elapsed();
    for inside in &ground.inside {
        inside.is_answered().await;
    }
    let answered = begun.elapsed();
    for worker in stack.workers().into_keys() {
        ground.starts_pods(&worker).await;
    }
    let since = Instant::now();
    caller.goes_on().await;
    let failures = caller.failures(since);
    assert!(
        failures.is_empty(),
        "requests fail after all is back: {failures:?}"
    );
    let mut findings = vec![
        ("hosts".to_owned(), hosts.len().to_string()),
        ("`up` took".to_owned(), seconds(up)),
        ("writes go on after".to_owned(), seconds(writes)),
        ("all replicas ready after".to_owned(), seconds(ready)),
        ("pods answered by name after".to_owned(), seconds(answered)),
    ];
    findings.extend(told(&[ledger.end().await]));
    findings
}
