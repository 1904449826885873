//! What comes to its end, what is deleted with what it owns and what without, and waiting for it.

use std::process::Stdio;

use mainstay_tests::wait_until;
use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStdout;

use crate::DONE;
use crate::plane::Plane;

const JOBS: &[(&str, &str)] = &[
    ("create job hello --image=busybox", "created"),
    (
        "wait --for=condition=complete job/hello --timeout=20s",
        "condition met",
    ),
    ("get job hello", "1/1"),
    (
        "create cronjob tick --image=busybox --schedule=@yearly",
        "created",
    ),
    ("create job now --from=cronjob/tick", "created"),
    (
        "wait --for=condition=complete job/now --timeout=20s",
        "condition met",
    ),
    (
        "get job now -o jsonpath={.metadata.ownerReferences[0].name}",
        "tick",
    ),
    ("delete cronjob tick", "deleted"),
    ("?get jobs", "hello"),
    ("wait --for=delete job/now --timeout=20s", ""),
];

const ORPHANS: &[(&str, &str)] = &[
    (
        "create deployment web --image=nginx:1.27 --replicas=2",
        "created",
    ),
    ("rollout status deployment/web", "successfully rolled out"),
    ("delete deployment web --cascade=orphan", "deleted"),
    ("!get deployment web", "not found"),
    (
        "get replicasets -l app=web -o jsonpath={.items[*].status.readyReplicas}",
        "2",
    ),
    (
        "get replicasets -l app=web -o jsonpath=owners:{..ownerReferences[*].name}.",
        "owners:.",
    ),
    // Made again, it takes over what is there.
    (
        "create deployment web --image=nginx:1.27 --replicas=2",
        "created",
    ),
    ("rollout status deployment/web", "successfully rolled out"),
    (
        "?get replicasets -l app=web -o jsonpath=owners:{..ownerReferences[*].name}.",
        "owners:web.",
    ),
    (
        "delete deployment web --cascade=foreground --timeout=20s",
        "deleted",
    ),
    ("get replicasets,pods -l app=web", "No resources found"),
    (
        "create deployment web --image=nginx:1.27 --replicas=2",
        "created",
    ),
    ("rollout status deployment/web", "successfully rolled out"),
    ("expose deployment web --port=80", "exposed"),
    (
        "?get endpointslices -l kubernetes.io/service-name=web -o jsonpath={..conditions.ready}",
        "true true",
    ),
    ("delete deployment,service web", "deleted"),
    (
        "?get replicasets,pods,endpointslices -l app=web",
        "No resources found",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_complete_and_deletions_cascade_or_do_not() {
    let Some(plane) = Plane::start().await else {
        return;
    };
    plane.session(JOBS).await;
    plane.session(ORPHANS).await;
    watched(&plane).await;
}

/// `get -w` from creation to deletion.
async fn watched(plane: &Plane) {
    let mut command =
        plane
            .world
            .server
            .command(&["get", "pods", "-w", "--no-headers", "--output-watch-events"]);
    let mut watching = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = watching.stdout.take().unwrap();
    // What was there before is the sign that it watches: a pod made earlier may be running by its first line.
    let mut text = String::new();
    read_until(&mut out, &mut text, "ADDED").await;
    plane
        .session(&[
            ("run one --image=busybox", "created"),
            (
                "wait --for=condition=Ready pod/one --timeout=20s",
                "condition met",
            ),
            ("delete pod one", "deleted"),
        ])
        .await;
    read_until(&mut out, &mut text, "DELETED").await;
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let lines: Vec<Vec<String>> = text.lines().map(words).collect();
    let seen = |event: &str, ready: &str, status: &str| {
        lines.iter().position(|line| {
            line.len() > 3
                && line[0] == event
                && line[1] == "one"
                && line[2] == ready
                && line[3] == status
        })
    };
    let ran = seen("MODIFIED", "1/1", "Running");
    assert!(ran.is_some(), "{text}");
    assert!(
        lines
            .iter()
            .any(|l| l.len() > 1 && l[0] == "DELETED" && l[1] == "one"),
        "{text}"
    );
    watching.kill().await.unwrap();
    wait_until("it has ended", DONE, async || watching.try_wait().unwrap()).await;
}

/// Appends what `out` says to `text` until that holds `sign`.
async fn read_until(out: &mut ChildStdout, text: &mut String, sign: &str) {
    let reading = async {
        let mut bytes = [0; 4096];
        while !text.contains(sign) {
            let read = out.read(&mut bytes).await.unwrap();
            assert!(read > 0, "the watch has ended: {text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    };
    if tokio::time::timeout(DONE, reading).await.is_err() {
        panic!("no {sign} in what is watched: {text}");
    }
}
