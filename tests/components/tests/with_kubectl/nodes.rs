//! Nodes are cordoned and drained.

use crate::plane::Plane;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_cordoned_and_drained() {
    let Some(plane) = Plane::start().await else {
        return;
    };
    plane.session(FIRST).await;
}
