//! Mistakes on purpose in the apiserver: which run catches which, and by what rule.
//!
//! As `planted.rs` for the store: the table says for every mistake under which nemesis it is caught, and as what. Tests
//! keep the table complete, and name the rules that nothing planted has tried; another, ignored because it takes minutes
//! and needs a server with the mistakes compiled in, keeps it true.

use mainstay_apiplanted::{Mistake, VARIABLE};
use mainstay_jepsen::api::{ApiNemesis, ApiPlan, carry_out};
use mainstay_jepsen::nemesis::Nemesis;
use mainstay_jepsen::plan::Plan;
use mainstay_jepsen::subject::{Kind, Subject};
use mainstay_jepsen::verdict::Grade;
use mainstay_jepsen::workload::Workload;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Names the apiserver that was built with the feature `planted`, if it is not beside the harness.
const SERVER_VARIABLE: &str = "MAINSTAY_PLANTED_APISERVER";
/// Names the mistakes to try, with commas between them, instead of all.
const ONLY_VARIABLE: &str = "MAINSTAY_PLANTED_ONLY";
/// Seeds tried before a mistake counts as not caught.
const TRIES: u64 = 3;
/// Seconds of faults.
const SECONDS: u64 = 12;
/// Operations per second.
const RATE: u32 = 400;

/// Under what a mistake is made, and the rule that catches it. Others may break beside it.
struct Catch {
    mistake: Mistake,
    nemeses: &'static [ApiNemesis],
    rule: &'static str,
}

fn table() -> Vec<Catch> {
    use ApiNemesis as N;
    use Mistake as M;
    const QUIET: &[ApiNemesis] = &[ApiNemesis::None];
    [
        (M::LostEvent, QUIET, "WatchLost"),
        (M::DoubledEvent, QUIET, "WatchDuplicate"),
        // Several events at once are what a watcher finds that has been away.
        (M::ReversedEvents, &[N::Kill], "WatchOrder"),
        (M::HiddenDeparture, QUIET, "WatchLost"),
        (M::StrayDeletion, QUIET, "WatchFilter"),
        (M::HiddenArrival, QUIET, "WatchWrong"),
        (M::OldDeletion, QUIET, "WatchOrder"),
        (M::LateWatch, &[N::Kill], "WatchLost"),
        (M::EarlyBookmark, QUIET, "WatchBookmark"),
        (M::StaleList, QUIET, "StaleRead"),
        (M::StaleRead, QUIET, "StaleRead"),
        (M::ListAhead, QUIET, "ListBroken"),
        (M::FutureList, QUIET, "FutureRead"),
        (M::TornPages, QUIET, "ListBroken"),
        (M::BackAfterStart, &[N::Kill], "StaleRead"),
        (M::EarlyAnswer, QUIET, "LostWrite"),
        (M::OldAnswer, QUIET, "RevisionBack"),
        (M::OldContents, QUIET, "WrongValue"),
        (M::UnguardedCreate, QUIET, "WrongCreate"),
        (M::UnguardedUpdate, QUIET, "UnguardedUpdate"),
        (M::Resurrection, QUIET, "WrongUid"),
        // The leader dies with answers on their way.
        (M::RepeatedWrite, &[N::KillLeader], "AbortedWrite"),
        (M::SharedAddress, QUIET, "DoubleOwner"),
        (M::Panic, QUIET, "LogFinding"),
        (M::AbruptEnd, &[N::Term], "FailedAtEnd"),
    ]
    .map(|(mistake, nemeses, rule)| Catch {
        mistake,
        nemeses,
        rule,
    })
    .into()
}

/// Rules that nothing planted has tried: what they find is believed less.
const UNTRIED: &[(&str, &str)] = &[
    (
        "DuplicateRevision",
        "an unguarded update is sometimes caught as this too, but not in every run",
    ),
    (
        "EpochBack",
        "an old leader's write must be on its way while a new one reigns, which takes more luck than time permits",
    ),
];

/// The rules that judges of the API have, as their sources name them.
fn rules() -> BTreeSet<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("check/src/api");
    let mut rules = BTreeSet::new();
    for entry in std::fs::read_dir(sources).expect("the judges have sources") {
        let path = entry.expect("a folder can be read").path();
        let text = std::fs::read_to_string(path).expect("a source is text");
        let named = text.split("AnomalyKind::").skip(1);
        rules.extend(named.map(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric());
            rest[..end.unwrap_or(rest.len())].to_owned()
        }));
    }
    rules
}

#[test]
fn every_planted_mistake_has_its_run() {
    let table = table();
    let named: BTreeSet<Mistake> = table.iter().map(|catch| catch.mistake).collect();
    let all: BTreeSet<Mistake> = Mistake::ALL.iter().copied().collect();
    assert_eq!(named, all, "the table names every mistake there is");
    assert_eq!(table.len(), all.len(), "no mistake is named twice");
}

#[test]
fn rules_that_nothing_planted_has_tried_are_named() {
    let tried = table().into_iter().map(|catch| catch.rule.to_owned());
    let untried = UNTRIED.iter().map(|(rule, _)| (*rule).to_owned());
    let named: BTreeSet<String> = tried.chain(untried).collect();
    assert_eq!(named, rules());
}

/// The server with mistakes: named by a variable, else beside this test's own folder.
fn planted_server() -> PathBuf {
    if let Some(path) = std::env::var_os(SERVER_VARIABLE) {
        return path.into();
    }
    let executable = std::env::current_exe().expect("a running test has an executable");
    let deps = executable.parent().expect("it lies in a folder");
    deps.parent()
        .expect("deps lies in a folder")
        .join("apiserver-planted")
}

fn plan(catch: &Catch, seed: u64, out: PathBuf) -> ApiPlan {
    ApiPlan {
        store: Plan {
            workload: Workload::Kubernetes,
            nemeses: vec![Nemesis::None],
            members: 3,
            time: Duration::from_secs(SECONDS),
            rate: RATE,
            clients_per_member: 1,
            deadline: Duration::from_secs(5),
            seed,
            subject: Subject::find(Kind::Kvstore, None).expect("a store beside this test"),
            named_binary: false,
            loopback: false,
            out,
        },
        nemeses: catch.nemeses.to_vec(),
        servers: 2,
        binary: planted_server(),
        named_binary: true,
        env: vec![(VARIABLE.to_owned(), catch.mistake.name().to_owned())],
    }
}

/// How a mistake was caught, or what was found instead.
async fn catch(one: &Catch, out: &Path) -> Result<String, String> {
    let mut instead = BTreeSet::new();
    for seed in 1..=TRIES {
        let plan = plan(one, seed, out.to_owned());
        let (result, _) = carry_out(&plan, |_| {}).await.expect("the harness works");
        // The harness must not pass off its own failure as a catch.
        assert!(
            result.grade != Grade::HarnessFault,
            "{:?}: {:?}",
            one.mistake,
            result.harness
        );
        let found = result.anomalies.iter().find(|found| found.kind == one.rule);
        let caught = found.map(|found| format!("seed {seed}: {}", found.text));
        instead.extend(result.anomalies.into_iter().map(|found| found.kind));
        if let Some(caught) = caught {
            instead.remove(one.rule);
            return Ok(format!("{caught}; beside it: {instead:?}"));
        }
    }
    Err(format!("NOT CAUGHT in {TRIES} runs; instead: {instead:?}"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and needs apiserver-planted: `make jepsen-planted`"]
async fn every_planted_mistake_is_caught() {
    let server = planted_server();
    assert!(
        server.is_file(),
        "no apiserver with mistakes at {}; name one in {SERVER_VARIABLE}",
        server.display()
    );
    let only = std::env::var(ONLY_VARIABLE).ok();
    let is_wanted = |one: &Catch| {
        only.as_ref()
            .is_none_or(|only| only.split(',').any(|name| name == one.mistake.name()))
    };
    let out = tempfile::tempdir().expect("the temporary folder is writable");
    let (mut tried, mut missed) = (0, Vec::new());
    for one in table().into_iter().filter(is_wanted) {
        let name = one.mistake.name();
        tried += 1;
        match catch(&one, out.path()).await {
            Ok(how) => println!("{name:<18} {:<16} {how}", one.rule),
            Err(why) => {
                println!("{name:<18} {:<16} {why}", one.rule);
                missed.push(name);
            }
        }
    }
    assert!(tried > 0, "{ONLY_VARIABLE} names no mistake that there is");
    assert!(missed.is_empty(), "not caught: {}", missed.join(", "));
}
