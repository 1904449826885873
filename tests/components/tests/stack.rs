//! The whole product from outside: `mainstay up` with three masters and two workers, real containers, kubectl, and what
//! users see while parts of it die. One cluster for all, as it takes long to be made; down at the end, whatever happens.
//! Where root or a program is missing nothing is tested, and a line says so.

#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect, and says what it could not do"
)]

#[path = "stack/commands.rs"]
mod commands;
#[path = "stack/lives.rs"]
mod lives;
#[path = "stack/serving.rs"]
mod serving;
#[path = "stack/streams.rs"]
mod streams;
#[path = "stack/workloads.rs"]
mod workloads;

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use mainstay_component_tests::stack::Stack;
use mainstay_component_tests::stack::faults::{Case, Ground, Measure};

const MASTERS: usize = 3;
const WORKERS: usize = 2;
/// The faults that fit into minutes; `stack_faults` has them all.
const FAULTS: [Case; 3] = [Case::Masters, Case::Processes, Case::Everything];

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_serves_its_users_whatever_dies() {
    if let Some(missing) = Stack::obstacle() {
        eprintln!("SKIPPED: a cluster with containers needs what is missing here: {missing}");
        return;
    }
    let stack = Stack::up(None, MASTERS, WORKERS).await;
    eprintln!("up after {:.1?}", stack.up_took);
    stack.nodes_ready().await;
    let results = tokio::join!(
        case("services", serving::services_answer_and_roll(&stack)),
        case("workloads", workloads::controllers_run_containers(&stack)),
        case("schedules", workloads::schedules_fire(&stack)),
        case("lives", lives::containers_live_as_they_are_told(&stack)),
        case("commands", commands::kubectl_tells_of_the_cluster(&stack)),
        case("streams", streams::kubectl_reaches_into_containers(&stack)),
    );
    let mut failed: Vec<String> = <[_; 6]>::from(results).into_iter().flatten().collect();
    let ground = Ground::lay(&stack).await;
    let measure = Measure {
        rounds: 1,
        outage: Duration::ZERO,
    };
    for fault in FAULTS {
        let begun = Instant::now();
        match fault.run(&ground, measure).await {
            Ok(findings) => {
                eprintln!("{} ({:.0?}): {findings:?}", fault.name(), begun.elapsed());
            }
            Err(why) => {
                failed.push(format!("{}: {why}", fault.name()));
                ground.heal().await;
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Runs a case to its end; what went wrong, if anything did. The others go on.
async fn case(name: &str, work: impl Future<Output = ()>) -> Option<String> {
    let begun = Instant::now();
    let done = AssertUnwindSafe(work).catch_unwind().await;
    eprintln!("{name}: {:.0?}", begun.elapsed());
    let panic = done.err()?;
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    Some(format!("{name}: {}", text.unwrap_or_default()))
}
