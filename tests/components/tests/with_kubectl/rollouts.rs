//! Rollouts: forward, back, held, and by hand.

use crate::plane::Plane;

const DEPLOYMENT: &[(&str, &str)] = &[
    (
        "create deployment web --image=nginx:1.27 --replicas=3",
        "created",
    ),
    (
        "rollout status deployment/web",
        "deployment \"web\" successfully rolled out",
    ),
    ("get deployment web", "3/3"),
    ("get pods -l app=web -o wide", "fake-"),
    ("set image deployment/web nginx=nginx:1.28", "image updated"),
    ("rollout status deployment/web", "successfully rolled out"),
    (
        "rollout history deployment/web",
        "1         <none>\n2         <none>\n",
    ),
    ("rollout history deployment/web --revision=2", "nginx:1.28"),
    ("rollout undo deployment/web", "rolled back"),
    ("rollout status deployment/web", "successfully rolled out"),
    ("get deployment web -o jsonpath={..image}", "nginx:1.27"),
    (
        "rollout history deployment/web",
        "2         <none>\n3         <none>\n",
    ),
    ("rollout pause deployment/web", "paused"),
    ("set image deployment/web nginx=nginx:1.29", "image updated"),
    (
        "!rollout undo deployment/web",
        "cannot rollback a paused deployment",
    ),
    ("get replicasets -l app=web -o jsonpath={..image}", "1.28"),
    ("rollout resume deployment/web", "resumed"),
    ("rollout status deployment/web", "successfully rolled out"),
    (
        "?get pods -l app=web -o jsonpath={.items[*].spec.containers[0].image}",
        "nginx:1.29 nginx:1.29 nginx:1.29",
    ),
    ("rollout restart deployment/web", "restarted"),
    ("rollout status deployment/web", "successfully rolled out"),
    (
        "rollout history deployment/web",
        "4         <none>\n5         <none>\n",
    ),
    ("rollout undo deployment/web --to-revision=3", "rolled back"),
    ("rollout status deployment/web", "successfully rolled out"),
    ("get deployment web -o jsonpath={..image}", "nginx:1.27"),
    ("scale deployment/web --replicas=5", "scaled"),
    (
        "wait --for=jsonpath={.status.readyReplicas}=5 deployment/web --timeout=20s",
        "condition met",
    ),
    (
        "!scale deployment/web --current-replicas=3 --replicas=1",
        "Expected replicas to be 3, was 5",
    ),
    ("scale deployment/web --replicas=0", "scaled"),
    ("?get pods -l app=web", "No resources found"),
];

const SETS: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: c, image: 'db:1'}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers: [{name: c, image: 'agent:1'}]
";

const OF_SETS: &[(&str, &str)] = &[
    (
        "rollout status statefulset/db",
        "partitioned roll out complete: 2 new pods",
    ),
    ("rollout status daemonset/agent", "successfully rolled out"),
    ("get pods -l app=db -o name", "pod/db-0\npod/db-1\n"),
    ("get daemonset agent -o jsonpath={.status.numberReady}", "3"),
    ("set image statefulset/db c=db:2", "image updated"),
    (
        "rollout status statefulset/db",
        "partitioned roll out complete: 2 new pods",
    ),
    ("set image daemonset/agent c=agent:2", "image updated"),
    ("rollout status daemonset/agent", "successfully rolled out"),
    (
        "get pods -l app=agent -o jsonpath={..spec.containers[*].image}",
        "agent:2 agent:2 agent:2",
    ),
    ("rollout undo statefulset/db", "rolled back"),
    (
        "rollout status statefulset/db",
        "partitioned roll out complete: 2 new pods",
    ),
    (
        "get pod db-1 -o jsonpath={..spec.containers[*].image}",
        "db:1",
    ),
    ("rollout undo daemonset/agent", "rolled back"),
    ("rollout status daemonset/agent", "successfully rolled out"),
    (
        "rollout history daemonset/agent",
        "2         <none>\n3         <none>\n",
    ),
    ("scale statefulset/db --replicas=1", "scaled"),
    ("wait --for=delete pod/db-1 --timeout=20s", ""),
    ("get pods -l app=db -o name", "pod/db-0\n"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_is_rolled_out_undone_paused_resumed_restarted_and_scaled() {
    let Some(plane) = Plane::start().await else {
        return;
    };
    plane.session(DEPLOYMENT).await;
    plane.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sets_are_rolled_out_and_undone() {
    let Some(plane) = Plane::start().await else {
        return;
    };
    plane.apply(SETS).await;
    plane.session(OF_SETS).await;
}
