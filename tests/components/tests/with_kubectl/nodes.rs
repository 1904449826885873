//! Nodes are cordoned, drained and tainted.

use std::process::Stdio;

use mainstay_tests::wait_until;
use tokio::io::AsyncReadExt as _;

use crate::DONE;
use crate::plane::{Plane, read_until};

const FIRST: &[(&str, &str)] = &[
    ("get nodes", "fake-0"),
    ("describe node fake-0", "fake://1"),
    ("cordon fake-0", "node/fake-0 cordoned"),
    ("get node fake-0", "Ready,SchedulingDisabled"),
    (
        "create deployment web --image=nginx:1.27 --replicas=6",
        "created",
    ),
    ("rollout status deployment/web", "successfully rolled out"),
    (
        "get pods --field-selector spec.nodeName=fake-0",
        "No resources found",
    ),
    ("uncordon fake-0", "node/fake-0 uncordoned"),
    ("drain fake-1", "node/fake-1 drained"),
    (
        "get pods --field-selector spec.nodeName=fake-1",
        "No resources found",
    ),
    ("rollout status deployment/web", "successfully rolled out"),
    (
        "get pods -l app=web --field-selector spec.nodeName=fake-0",
        "web-",
    ),
    ("get node fake-1", "Ready,SchedulingDisabled"),
    ("uncordon fake-1", "uncordoned"),
    (
        "run alone --image=busybox --overrides={\"spec\":{\"nodeName\":\"fake-2\"}}",
        "created",
    ),
    (
        "wait --for=condition=Ready pod/alone --timeout=20s",
        "condition met",
    ),
    (
        "!drain fake-2",
        "cannot delete Pods that declare no controller",
    ),
    ("drain fake-2 --force", "node/fake-2 drained"),
    ("!get pod alone", "not found"),
];

const BUDGET: &[(&str, &str)] = &[
    (
        "create deployment web --image=nginx:1.27 --replicas=2",
        "created",
    ),
    ("rollout status deployment/web", "successfully rolled out"),
    (
        "create poddisruptionbudget web --selector=app=web --min-available=2",
        "created",
    ),
    (
        "?get poddisruptionbudget web -o jsonpath={.status.currentHealthy}:{.status.disruptionsAllowed}",
        "2:0",
    ),
];

const TAINTS: &[(&str, &str)] = &[
    (
        "create deployment web --image=nginx:1.27 --replicas=6",
        "created",
    ),
    ("rollout status deployment/web", "successfully rolled out"),
    (
        "get pods -l app=web --field-selector spec.nodeName=fake-0",
        "web-",
    ),
    (
        "run stays --image=busybox --overrides={\"spec\":{\"nodeName\":\"fake-0\",\
         \"tolerations\":[{\"key\":\"repair\",\"operator\":\"Exists\"}]}}",
        "created",
    ),
    (
        "run leaves --image=busybox --overrides={\"spec\":{\"nodeName\":\"fake-0\",\
         \"tolerations\":[{\"key\":\"repair\",\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":8}]}}",
        "created",
    ),
    (
        "wait --for=condition=Ready pod/stays pod/leaves --timeout=20s",
        "condition met",
    ),
    ("taint nodes fake-0 repair=now:NoExecute", "tainted"),
    ("get pod leaves", "Running"),
    (
        "?get pods -l app=web --field-selector spec.nodeName=fake-0",
        "No resources found",
    ),
    ("rollout status deployment/web", "successfully rolled out"),
    ("get deployment web", "6/6"),
    ("wait --for=delete pod/leaves --timeout=20s", ""),
    (
        "?get events --field-selector reason=TaintManagerEviction",
        "pod/leaves",
    ),
    ("get pod stays", "Running"),
    ("taint nodes fake-0 repair-", "untainted"),
    (
        "run back --image=busybox --overrides={\"spec\":{\"nodeName\":\"fake-0\"}}",
        "created",
    ),
    (
        "wait --for=condition=Ready pod/back pod/stays --timeout=20s",
        "condition met",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tainted_node_loses_the_pods_that_do_not_bear_it() {
    let Some(plane) = Plane::start().await else {
        return;
    };
    plane.session(TAINTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_a_budget_until_another_replica_is_ready() {
    let Some(plane) = Plane::start().await else {
        return;
    };
    plane.session(BUDGET).await;
    let first = "jsonpath={.items[0].spec.nodeName}";
    let node = plane.kubectl(&["get", "pods", "-o", first]).await.text;
    let mut command = plane.world.server.command(&["drain", &node]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut draining = command.spawn().unwrap();
    let mut out = draining.stdout.take().unwrap();
    let mut told = draining.stderr.take().unwrap();
    let mut text = String::new();
    let refused = "Cannot evict pod as it would violate the pod's disruption budget";
    read_until(&mut told, &mut text, refused).await;
    plane
        .session(&[
            ("get deployment web", "2/2"),
            (
                "get pods -o jsonpath={..deletionTimestamp}{..phase}",
                "Running Running",
            ),
            ("get nodes", "SchedulingDisabled"),
        ])
        .await;
    assert_eq!(draining.try_wait().unwrap(), None, "it waits");

    plane
        .session(&[("scale deployment/web --replicas=3", "scaled")])
        .await;
    let ended = wait_until("the node is drained", DONE, async || {
        draining.try_wait().unwrap()
    })
    .await;
    let mut end = String::new();
    out.read_to_string(&mut end).await.unwrap();
    assert!(ended.success(), "{text}{end}");
    assert!(end.contains(&format!("node/{node} drained")), "{end}");
    let left = format!("spec.nodeName={node}");
    let left = plane
        .kubectl(&["get", "pods", "--field-selector", &left])
        .await;
    assert!(left.text.contains("No resources found"), "{}", left.text);
    plane
        .session(&[("rollout status deployment/web", "successfully rolled out")])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_cordoned_and_drained() {
    let Some(plane) = Plane::start().await else {
        return;
    };
    plane.session(FIRST).await;
}
