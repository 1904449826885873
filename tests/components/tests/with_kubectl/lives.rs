//! What comes to its end, what is deleted with what it owns and what without, and waiting for it.

use std::process::Stdio;
use std::time::Duration;

use mainstay_tests::wait_until;

use crate::DONE;
use crate::plane::{Plane, read_until};

/// A minute, and time for the job to be done.
const MINUTE: Duration = Duration::from_secs(90);

const MINUTELY: &str = "
apiVersion: batch/v1
kind: CronJob
metadata: {name: minutely}
spec:
  schedule: '* * * * *'
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: c, image: busybox}]
";

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
async fn jobs_complete_schedules_fire_and_deletions_cascade_or_do_not() {
    let Some(plane) = Plane::start().await else {
        return;
    };
    // It has a minute to come due while the others are looked at.
    plane.apply(MINUTELY).await;
    plane.session(JOBS).await;
    plane.session(ORPHANS).await;
    watched(&plane).await;
    fired(&plane).await;
}

/// The schedule has come due once at least, and no more once it is suspended.
async fn fired(plane: &Plane) {
    let succeeded = "jsonpath={.status.lastSuccessfulTime}";
    wait_until("the schedule has come due", MINUTE, async || {
        let asked = ["get", "cronjob", "minutely", "-o", succeeded];
        let said = plane.kubectl(&asked).await;
        (said.ok && !said.text.is_empty()).then_some(())
    })
    .await;
    plane
        .session(&[
            (
                "get jobs -o jsonpath={..ownerReferences[*].name}",
                "minutely",
            ),
            ("get jobs", "minutely-"),
            (
                "?get events --field-selector reason=SawCompletedJob",
                "minutely-",
            ),
            (
                "patch cronjob minutely -p {\"spec\":{\"suspend\":true}}",
                "patched",
            ),
            ("get cronjob minutely", "True"),
            ("delete cronjob minutely", "deleted"),
            (
                "?get jobs -o jsonpath=left:{.items[*].metadata.name}.",
                "left:hello.",
            ),
        ])
        .await;
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
