//! What is said of pods, as tables.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::{Facts, Failure, Failures, status};
use crate::observed::{Observed, SeenContainer, SeenSandbox, State};
use crate::probes::{Purpose, Verdict, Verdicts};

const INIT: &str = "initContainers: [{name: i}], ";

fn pod(policy: &str, more: &str) -> Pod {
    let text = format!(
        "{{metadata: {{name: p, uid: u, generation: 3}}, spec: {{restartPolicy: {policy}, {more}containers: \
         [{{name: a, image: x, readinessProbe: {{tcpSocket: {{port: 1}}}}}}, {{name: b, image: x}}]}}}}"
    );
    serde_yaml_ng::from_str(&text).expect("a pod")
}

/// `name+` runs, `name-0` and `name-1` ended so.
fn seen(text: &str) -> Observed {
    let mut seen = Observed {
        sandboxes: vec![SeenSandbox {
            id: "s".to_owned(),
            ready: true,
            ips: vec!["10.0.0.1".to_owned()],
            ..SeenSandbox::default()
        }],
        ..Observed::default()
    };
    for (at, word) in text.split_whitespace().enumerate() {
        let (name, how) = word.split_at(1);
        seen.containers.push(SeenContainer {
            id: format!("{name}{at}"),
            name: name.to_owned(),
            state: if how == "+" {
                State::Running
            } else {
                State::Exited
            },
            exit_code: i32::from(how == "-1"),
            created_at: i64::try_from(at).expect("few") + 1,
            ..SeenContainer::default()
        });
    }
    seen.sort();
    seen
}

struct Given<'a> {
    pod: &'a Pod,
    old: PodStatus,
    seen: Observed,
    verdicts: Verdicts,
    failures: Failures,
    over: bool,
}

fn said(given: &Given<'_>) -> PodStatus {
    status(Facts {
        pod: given.pod,
        old: &given.old,
        seen: &given.seen,
        verdicts: &given.verdicts,
        failures: &given.failures,
        ended: None,
        over: given.over,
        host_ips: &["192.0.2.1".to_owned()],
        runtime: "containerd",
        now: Timestamp::UNIX_EPOCH,
    })
}

fn given<'a>(pod: &'a Pod, there: &str) -> Given<'a> {
    Given {
        pod,
        old: PodStatus::default(),
        seen: seen(there),
        verdicts: Verdicts::default(),
        failures: Failures::new(),
        over: false,
    }
}

/// `name+` runs, `name-N` ended, else the reason it waits for.
fn states(status: &PodStatus) -> String {
    let init = status.init_container_statuses.iter().flatten();
    let words = init
        .chain(status.container_statuses.iter().flatten())
        .map(|one| {
            let state = one.state.as_ref().expect("has one");
            match (&state.running, &state.terminated, &state.waiting) {
                (Some(_), ..) => format!("{}+", one.name),
                (_, Some(ended), _) => format!("{}-{}", one.name, ended.exit_code),
                (.., Some(waiting)) => {
                    format!("{}:{}", one.name, waiting.reason.as_deref().unwrap_or(""))
                }
                _ => one.name.clone(),
            }
        });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn phases_follow_containers() {
    let cases = [
        (
            "Always",
            "",
            "",
            false,
            "Pending",
            "a:ContainerCreating b:ContainerCreating",
        ),
        (
            "Always",
            "",
            "a+",
            false,
            "Pending",
            "a+ b:ContainerCreating",
        ),
        ("Always", "", "a+ b+", false, "Running", "a+ b+"),
        ("Always", "", "a-0 b-1", false, "Running", "a-0 b-1"),
        ("OnFailure", "", "a-0 b-0", false, "Succeeded", "a-0 b-0"),
        ("OnFailure", "", "a-0 b-1", false, "Running", "a-0 b-1"),
        ("Never", "", "a-0 b-1", false, "Failed", "a-0 b-1"),
        ("Never", "", "a-0 b-0", false, "Succeeded", "a-0 b-0"),
        ("Never", "", "a+ b-1", false, "Running", "a+ b-1"),
        // It is over and comes to no more.
        ("Always", "", "a-0 b-0", true, "Succeeded", "a-0 b-0"),
        ("Always", "", "a-0 b-1", true, "Failed", "a-0 b-1"),
        (
            "Always",
            "",
            "",
            true,
            "Failed",
            "a:ContainerCreating b:ContainerCreating",
        ),
        (
            "Always",
            INIT,
            "",
            false,
            "Pending",
            "i:PodInitializing a:PodInitializing b:PodInitializing",
        ),
        (
            "Always",
            INIT,
            "i+",
            false,
            "Pending",
            "i+ a:PodInitializing b:PodInitializing",
        ),
        (
            "Always",
            INIT,
            "i-1",
            false,
            "Pending",
            "i-1 a:PodInitializing b:PodInitializing",
        ),
        (
            "Never",
            INIT,
            "i-1",
            false,
            "Failed",
            "i-1 a:PodInitializing b:PodInitializing",
        ),
        (
            "Always",
            INIT,
            "i-0",
            false,
            "Pending",
            "i-0 a:ContainerCreating b:ContainerCreating",
        ),
        ("Always", INIT, "i-0 a+ b+", false, "Running", "i-0 a+ b+"),
    ];
    for (policy, init, there, over, phase, expected) in cases {
        let pod = pod(policy, init);
        let mut given = given(&pod, there);
        given.over = over;
        let status = said(&given);
        let what = format!("{policy} {init} {there} {over}");
        assert_eq!(states(&status), expected, "{what}");
        assert_eq!(status.phase.as_deref(), Some(phase), "{what}");
    }
}

#[test]
fn conditions_follow_probes() {
    let pod = pod("Always", "");
    let mut given = given(&pod, "a+ b+");
    let words = |status: &PodStatus| {
        let conditions = status.conditions.iter().flatten();
        conditions
            .map(|one| format!("{}={}", one.type_, one.status))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let status = said(&given);
    assert_eq!(
        words(&status),
        "PodReadyToStartContainers=True Initialized=True Ready=False ContainersReady=False PodScheduled=True"
    );
    let ready = &status.conditions.as_ref().expect("has some")[2];
    assert_eq!(ready.reason.as_deref(), Some("ContainersNotReady"));
    assert_eq!(
        ready.message.as_deref(),
        Some("containers with unready status: [a]")
    );
    given
        .verdicts
        .set("a0", Purpose::Readiness, Verdict::Success);
    let status = said(&given);
    assert!(words(&status).contains("Ready=True ContainersReady=True"));
    assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.1"));
    assert_eq!(status.observed_generation, Some(3));
}

#[test]
fn who_waits_says_why_and_how_it_ended_before() {
    let pod = pod("Always", "");
    let mut given = given(&pod, "b+ a-1");
    let failure = Failure {
        reason: "CrashLoopBackOff".to_owned(),
        message: "back-off 10s".to_owned(),
    };
    given.failures.insert("a".to_owned(), failure);
    let status = said(&given);
    assert_eq!(states(&status), "a:CrashLoopBackOff b+");
    let a = &status.container_statuses.as_ref().expect("has some")[0];
    let last = a
        .last_state
        .as_ref()
        .and_then(|last| last.terminated.as_ref());
    assert_eq!(last.map(|last| last.exit_code), Some(1));
    assert_eq!(status.phase.as_deref(), Some("Running"));
}

#[test]
fn what_came_to_its_end_stays_there() {
    let pod = pod("Never", "");
    let ended = said(&given(&pod, "a-0 b-1"));
    // Its containers were removed.
    let mut later = given(&pod, "");
    later.old = ended.clone();
    let status = said(&later);
    assert_eq!(states(&status), states(&ended));
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(status.start_time, ended.start_time);
}

#[test]
fn others_conditions_stay() {
    let pod = pod("Always", "readinessGates: [{conditionType: gate}], ");
    let mut given = given(&pod, "a+ b+");
    given
        .verdicts
        .set("a0", Purpose::Readiness, Verdict::Success);
    let ready = |status: &PodStatus| {
        let mut conditions = status.conditions.iter().flatten();
        let ready = conditions.find(|one| one.type_ == "Ready").expect("always");
        (
            ready.status.clone(),
            ready.message.clone().unwrap_or_default(),
        )
    };
    let (status, message) = ready(&said(&given));
    assert_eq!(status, "False");
    assert_eq!(
        message,
        "corresponding condition of pod readiness gate \"gate\" does not exist."
    );
    let gate = serde_json::json!({"conditions": [{"type": "gate", "status": "True"}]});
    given.old = serde_json::from_value(gate).expect("a status");
    let now = said(&given);
    assert_eq!(ready(&now).0, "True");
    assert!(
        now.conditions
            .iter()
            .flatten()
            .any(|one| one.type_ == "gate")
    );
}
