//! Objects, and what `kubectl get` prints of them.

use super::*;

/// 2026-01-02T03:04:05Z
const NOW: i64 = 1_767_323_045_000;

fn cells(group: &str, kind: &str, object: &Value) -> Vec<String> {
    let row = row(KindRef::new(group, "v1", kind), object, NOW);
    let text = |cell: &Value| {
        cell.as_str()
            .map_or_else(|| cell.to_string(), str::to_owned)
    };
    row.iter().map(text).collect()
}

fn cell(group: &str, kind: &str, column: &str, object: &Value) -> String {
    let columns = columns(KindRef::new(group, "v1", kind));
    let at = columns
        .iter()
        .position(|known| known.name == column)
        .unwrap();
    cells(group, kind, object).swap_remove(at)
}

#[test]
fn column_names_of_pods_are_upstreams() {
    let names: Vec<_> = columns(KindRef::new("", "v1", "Pod"))
        .iter()
        .map(|c| c.name)
        .collect();
    let expected = [
        "Name",
        "Ready",
        "Status",
        "Restarts",
        "Age",
        "IP",
        "Node",
        "Nominated Node",
        "Readiness Gates",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_running_pod() {
    let pod = json!({
        "metadata": {"name": "web", "creationTimestamp": "2026-01-02T02:00:05Z"},
        "spec": {"containers": [{}, {}], "nodeName": "n1", "readinessGates": [{"conditionType": "Open"}]},
        "status": {
            "phase": "Running", "podIPs": [{"ip": "10.0.0.1"}],
            "conditions": [{"type": "Open", "status": "True"}],
            "containerStatuses": [
                {"ready": true, "state": {"running": {}}, "restartCount": 2,
                 "lastState": {"terminated": {"finishedAt": "2026-01-02T03:02:05Z"}}},
                {"ready": false, "state": {"running": {}}},
            ],
        },
    });
    assert_eq!(
        cells("", "Pod", &pod),
        [
            "web",
            "1/2",
            "Running",
            "2 (2m ago)",
            "64m",
            "10.0.0.1",
            "n1",
            "<none>",
            "1/1"
        ]
    );
    assert!(row_conditions(KindRef::new("", "v1", "Pod"), &pod).is_empty());
}

#[test]
fn what_pods_say_they_do() {
    let waiting = |reason: &str| json!({"state": {"waiting": {"reason": reason}}});
    let ended = |code: i64, reason: &str| json!({"state": {"terminated": {"exitCode": code, "reason": reason}}});
    let running = json!({"ready": true, "started": true, "state": {"running": {}}});
    for (status, says) in [
        (json!({"phase": "Pending"}), "Pending"),
        (json!({"phase": "Failed", "reason": "Evicted"}), "Evicted"),
        (
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
            "SchedulingGated",
        ),
        (
            json!({"phase": "Pending", "containerStatuses": [waiting("ContainerCreating")]}),
            "ContainerCreating",
        ),
        (
            json!({"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff")]}),
            "CrashLoopBackOff",
        ),
        (
            json!({"phase": "Running", "containerStatuses": [ended(1, "Error"), running.clone()]}),
            "Error",
        ),
        (
            json!({"phase": "Succeeded", "containerStatuses": [ended(0, "Completed")]}),
            "Completed",
        ),
        (
            json!({"phase": "Running", "containerStatuses": [ended(0, "Completed"), running.clone()]}),
            "NotReady",
        ),
        (
            json!({"phase": "Running", "containerStatuses": [ended(0, "Completed"), running.clone()],
                "conditions": [{"type": "Ready", "status": "True"}]}),
            "Running",
        ),
        (
            json!({"phase": "Failed", "containerStatuses": [ended(3, "")]}),
            "ExitCode:3",
        ),
        (
            json!({"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 137, "signal": 9}}}]}),
            "Signal:9",
        ),
        (
            json!({"phase": "Pending", "initContainerStatuses": [waiting("PodInitializing")]}),
            "Init:0/2",
        ),
        (
            json!({"phase": "Pending", "initContainerStatuses": [ended(0, "Completed"), {"state": {"running": {}}}]}),
            "Init:1/2",
        ),
        (
            json!({"phase": "Pending", "initContainerStatuses": [waiting("ErrImagePull")]}),
            "Init:ErrImagePull",
        ),
        (
            json!({"phase": "Failed", "initContainerStatuses": [ended(2, "Error")]}),
            "Init:Error",
        ),
        (
            json!({"phase": "Pending", "containerStatuses": [waiting("PodInitializing")],
                "initContainerStatuses": [ended(0, "Completed")]}),
            "PodInitializing",
        ),
    ] {
        let pod =
            json!({"spec": {"initContainers": [{}, {}], "containers": [{}]}, "status": status});
        assert_eq!(cell("", "Pod", "Status", &pod), says, "{status}");
    }
    let mut going = json!({"metadata": {"deletionTimestamp": "2026-01-02T03:04:05Z"}, "status": {"phase": "Running"}});
    assert_eq!(cell("", "Pod", "Status", &going), "Terminating");
    going["status"]["reason"] = "NodeLost".into();
    assert_eq!(cell("", "Pod", "Status", &going), "Unknown");
}

#[test]
fn sidecars_count_as_containers() {
    let pod = json!({
        "spec": {"initContainers": [{"name": "s", "restartPolicy": "Always"}], "containers": [{}]},
        "status": {
            "initContainerStatuses": [{"name": "s", "started": true, "ready": true, "restartCount": 1, "state": {"running": {}}}],
            "containerStatuses": [{"ready": true, "state": {"running": {}}, "restartCount": 2}],
        },
    });
    assert_eq!(cell("", "Pod", "Ready", &pod), "2/2");
    assert_eq!(cell("", "Pod", "Restarts", &pod), "3");
}

#[test]
fn workloads() {
    let template = json!({"spec": {"containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "j"}]}});
    let deployment = json!({
        "metadata": {"name": "d", "creationTimestamp": "2026-01-02T03:04:00Z"},
        "spec": {"replicas": 3, "template": template, "selector": {"matchLabels": {"app": "a"}}},
        "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1},
    });
    assert_eq!(
        cells("apps", "Deployment", &deployment),
        ["d", "2/3", "3", "1", "5s", "a,b", "i:1,j", "app=a"]
    );
    let job = json!({
        "metadata": {"name": "j"}, "spec": {"completions": 4},
        "status": {"succeeded": 1, "startTime": "2026-01-02T03:00:05Z", "conditions": [{"type": "Suspended", "status": "True"}]},
    });
    assert_eq!(
        cells("batch", "Job", &job)[..5],
        ["j", "Suspended", "1/4", "4m", "<unknown>"]
    );
    let queue = json!({"spec": {"parallelism": 3}});
    assert_eq!(cell("batch", "Job", "Completions", &queue), "0/1 of 3");
    let cron =
        json!({"metadata": {"name": "c"}, "spec": {"schedule": "* * * * *", "suspend": false}});
    assert_eq!(
        cells("batch", "CronJob", &cron)[..6],
        ["c", "* * * * *", "<none>", "False", "0", "<none>"]
    );
    let owner =
        json!({"controller": true, "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "x"});
    let revision = json!({"metadata": {"ownerReferences": [owner]}, "revision": 7});
    assert_eq!(
        cells("apps", "ControllerRevision", &revision)[1..3],
        ["daemonset.apps/x", "7"]
    );
}

#[test]
fn addresses_of_services() {
    for (spec, status, external) in [
        (json!({"type": "ClusterIP"}), json!({}), "<none>"),
        (
            json!({"type": "NodePort", "externalIPs": ["1.1.1.1", "2.2.2.2"]}),
            json!({}),
            "1.1.1.1,2.2.2.2",
        ),
        (json!({"type": "LoadBalancer"}), json!({}), "<pending>"),
        (
            json!({"type": "LoadBalancer", "externalIPs": ["9.9.9.9"]}),
            json!({"loadBalancer": {"ingress": [{"ip": "8.8.8.8"}, {"hostname": "lb"}]}}),
            "8.8.8.8,lb,9.9.9.9",
        ),
        (
            json!({"type": "ExternalName", "externalName": "example.com"}),
            json!({}),
            "example.com",
        ),
    ] {
        let service = json!({"spec": spec, "status": status});
        assert_eq!(
            cell("", "Service", "External-IP", &service),
            external,
            "{service}"
        );
    }
    let ports = json!([{"port": 80, "protocol": "TCP"}, {"port": 53, "nodePort": 30053, "protocol": "UDP"}]);
    let service = json!({"spec": {"clusterIPs": ["10.0.0.1"], "ports": ports}});
    assert_eq!(
        cell("", "Service", "Port(s)", &service),
        "80/TCP,53:30053/UDP"
    );
    assert_eq!(cell("", "Service", "Cluster-IP", &service), "10.0.0.1");
    let addresses =
        json!([{"ip": "1.0.0.1"}, {"ip": "1.0.0.2"}, {"ip": "1::1"}, {"ip": "1.0.0.4"}]);
    let endpoints = json!({"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]});
    assert_eq!(
        cell("", "Endpoints", "Endpoints", &endpoints),
        "1.0.0.1:80,1.0.0.2:80,[1::1]:80 + 1 more..."
    );
    let ingress = json!({"spec": {"rules": [{"host": "a"}, {}], "tls": [{}]}});
    assert_eq!(
        cells("networking.k8s.io", "Ingress", &ingress)[1..5],
        ["<none>", "a", "", "80, 443"]
    );
}

#[test]
fn nodes_and_volumes() {
    let node = json!({
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "edge"}},
        "spec": {"unschedulable": true},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"kubeletVersion": "v1", "kernelVersion": "6.1", "architecture": "amd64"},
            "addresses": [{"type": "InternalIP", "address": "10.0.0.9"}],
        },
    });
    assert_eq!(
        cells("", "Node", &node),
        [
            "n",
            "Ready,SchedulingDisabled",
            "control-plane,edge",
            "<unknown>",
            "v1",
            "10.0.0.9",
            "<none>",
            "<unknown>",
            "6.1 (amd64)",
            "<unknown>"
        ]
    );
    let claim = json!({
        "metadata": {"name": "c"}, "spec": {"volumeName": "v", "storageClassName": "fast"},
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"]},
    });
    assert_eq!(
        cells("", "PersistentVolumeClaim", &claim),
        [
            "c",
            "Bound",
            "v",
            "1Gi",
            "RWO,RWX",
            "fast",
            "<unset>",
            "<unknown>",
            "<unset>"
        ]
    );
    let class = json!({"metadata": {"name": "s", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}});
    assert_eq!(
        cells("storage.k8s.io", "StorageClass", &class)[0],
        "s (default)"
    );
}

#[test]
fn events_of_both_groups() {
    let event = json!({
        "metadata": {"name": "e"}, "lastTimestamp": "2026-01-02T03:03:05Z", "firstTimestamp": "2026-01-02T03:02:05Z",
        "type": "Normal", "reason": "Started", "count": 3, "message": "done\n",
        "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec"}, "source": {"component": "kubelet", "host": "n"},
    });
    let row = [
        "60s",
        "Normal",
        "Started",
        "pod/p",
        "spec",
        "kubelet, n",
        "done",
        "2m",
        "3",
        "e",
    ];
    assert_eq!(cells("", "Event", &event), row);
    let new = json!({"eventTime": "2026-01-02T03:04:00.000000Z", "regarding": {"kind": "Pod", "name": "p"}, "note": "x"});
    assert_eq!(cells("events.k8s.io", "Event", &new)[..1], ["5s"]);
    assert_eq!(cell("events.k8s.io", "Event", "Message", &new), "x");
}

#[test]
fn other_kinds() {
    let autoscaler = json!({
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "d"}, "minReplicas": 1, "maxReplicas": 3,
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}},
                {"type": "Pods", "pods": {"target": {"averageValue": "10"}}},
                {"type": "External", "external": {"target": {"value": "1"}}},
            ],
        },
        "status": {"currentMetrics": [{"type": "Resource", "resource": {"current": {"averageUtilization": 5}}}]},
    });
    assert_eq!(
        cells("autoscaling", "HorizontalPodAutoscaler", &autoscaler)[1..6],
        [
            "Deployment/d",
            "cpu: 5%/80%, <unknown>/10 + 1 more...",
            "1",
            "3",
            "0"
        ]
    );
    let quota = json!({"status": {
        "hard": {"pods": "5", "limits.cpu": "2", "cpu": "1"}, "used": {"pods": "1", "limits.cpu": "1"},
    }});
    assert_eq!(
        cells("", "ResourceQuota", &quota)[1..3],
        ["cpu: 0/1, pods: 1/5", "limits.cpu: 1/2"]
    );
    let subjects = json!([
        {"kind": "User", "name": "u"}, {"kind": "Group", "name": "g"},
        {"kind": "ServiceAccount", "name": "s", "namespace": "n"},
    ]);
    let binding = json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": subjects});
    assert_eq!(
        cells("rbac.authorization.k8s.io", "RoleBinding", &binding)[1..],
        ["Role/r", "<unknown>", "u", "g", "n/s"]
    );
    let request = json!({
        "spec": {"signerName": "k/s", "username": "jane", "expirationSeconds": 3600},
        "status": {"conditions": [{"type": "Approved"}], "certificate": "x"},
    });
    assert_eq!(
        cells("certificates.k8s.io", "CertificateSigningRequest", &request)[2..],
        ["k/s", "jane", "60m", "Approved,Issued"]
    );
    let role = json!({"metadata": {"name": "r", "creationTimestamp": "2026-01-02T03:04:00Z"}});
    assert_eq!(
        cells("rbac.authorization.k8s.io", "ClusterRole", &role),
        ["r", "2026-01-02T03:04:00Z"]
    );
    let status = json!({"metadata": {"name": "etcd-0"}, "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}]});
    assert_eq!(
        cells("", "ComponentStatus", &status),
        ["etcd-0", "Healthy", "ok", ""]
    );
}
