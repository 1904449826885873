//! Services that follow their pods, and quotas that refuse what is too much.

use crate::plane::Plane;

const SERVICES: &[(&str, &str)] = &[
    (
        "create deployment web --image=nginx:1.27 --replicas=2 --port=8080",
        "created",
    ),
    ("rollout status deployment/web", "successfully rolled out"),
    (
        "expose deployment web --port=80 --target-port=8080",
        "service/web exposed",
    ),
    (
        "get service web -o jsonpath={.spec.type}:{.spec.selector.app}:{.spec.ports[0].targetPort}",
        "ClusterIP:web:8080",
    ),
    (
        "?get endpointslices -l kubernetes.io/service-name=web -o jsonpath={..conditions.ready}:{..ports[0].port}",
        "true true:8080",
    ),
    (
        "?get endpoints web -o jsonpath={..targetRef.kind}:{..ports[0].port}",
        "Pod Pod:8080",
    ),
    ("!expose deployment web --port=80", "already exists"),
    (
        "expose deployment web --name=outside --type=NodePort --port=80 --target-port=8080",
        "service/outside exposed",
    ),
    (
        "get service outside -o jsonpath=port:{.spec.ports[0].nodePort}",
        "port:3",
    ),
    ("scale deployment/web --replicas=3", "scaled"),
    (
        "?get endpointslices -l kubernetes.io/service-name=outside -o jsonpath={..conditions.ready}",
        "true true true",
    ),
    ("scale deployment/web --replicas=0", "scaled"),
    (
        "?get endpointslices -l kubernetes.io/service-name=web -o jsonpath=left:{..addresses}:",
        "left::",
    ),
    ("delete service web outside", "deleted"),
    (
        "?get endpointslices -l kubernetes.io/service-name=web",
        "No resources found",
    ),
    ("delete deployment web", "deleted"),
    ("?get pods", "No resources found"),
];

const QUOTAS: &[(&str, &str)] = &[
    ("create quota few --hard=pods=2", "created"),
    (
        "?get quota few -o jsonpath={.status.used.pods}:{.status.hard.pods}",
        "0:2",
    ),
    ("run one --image=busybox", "created"),
    ("run two --image=busybox", "created"),
    (
        "!run three --image=busybox",
        "exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2",
    ),
    ("describe quota few", "2     2"),
    // What a controller makes is refused as well; it says so, and goes on when there is room.
    (
        "create deployment web --image=nginx:1.27 --replicas=1",
        "created",
    ),
    (
        "?get deployment web -o jsonpath={.status.conditions[?(@.type==\"ReplicaFailure\")].message}",
        "exceeded quota: few",
    ),
    (
        "?get events --field-selector reason=FailedCreate",
        "exceeded quota: few",
    ),
    ("delete pod one", "deleted"),
    ("rollout status deployment/web", "successfully rolled out"),
    (
        "?get quota few -o jsonpath={.status.used.pods}:{.status.hard.pods}",
        "2:2",
    ),
    ("delete quota few", "deleted"),
    ("create quota cpu --hard=requests.cpu=1", "created"),
    (
        "?get quota cpu -o jsonpath={.status.hard.requests\\.cpu}",
        "1",
    ),
    ("!run four --image=busybox", "must specify requests.cpu"),
    ("delete quota cpu", "deleted"),
    (
        "create quota kinds --hard=count/deployments.apps=1",
        "created",
    ),
    (
        "?get quota kinds -o jsonpath={.status.used.count/deployments\\.apps}",
        "1",
    ),
    (
        "!create deployment more --image=nginx:1.27",
        "exceeded quota: kinds, requested: count/deployments.apps=1",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_follow_their_pods_and_quotas_refuse_what_is_too_much() {
    let Some(plane) = Plane::start().await else {
        return;
    };
    plane.session(SERVICES).await;
    plane.session(QUOTAS).await;
}
