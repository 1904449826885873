//! Objects as written and as they are after defaulting.

use super::default_object;
use crate::kind::KindRef;
use serde_json::{Value, json};

fn defaulted(api_version: &str, kind: &str, mut object: Value) -> Value {
    default_object(KindRef::parse(api_version, kind), &mut object);
    let once = object.clone();
    default_object(KindRef::parse(api_version, kind), &mut object);
    assert_eq!(once, object, "defaulting twice is defaulting once");
    object
}

#[test]
fn a_pod_of_one_line() {
    let pod = defaulted(
        "v1",
        "Pod",
        json!({"spec": {"containers": [{"name": "a", "image": "nginx"}]}}),
    );
    assert_eq!(
        pod["spec"],
        json!({
            "containers": [{
                "name": "a", "image": "nginx", "imagePullPolicy": "Always", "resources": {},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "securityContext": {},
            "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler",
            "enableServiceLinks": true,
        })
    );
}

#[test]
fn nested_places_of_a_pod() {
    let pod = defaulted(
        "v1",
        "Pod",
        json!({"spec": {
            "hostNetwork": true,
            "serviceAccount": "robot",
            "containers": [{
                "image": "a:1",
                "ports": [{"containerPort": 80}],
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "livenessProbe": {"httpGet": {"port": 80}},
                "readinessProbe": {"grpc": {"port": 1}, "periodSeconds": 3},
                "lifecycle": {"preStop": {"httpGet": {"port": 81}}},
                "resources": {"limits": {"cpu": "1", "memory": "100u"}},
            }],
            "volumes": [
                {"name": "none"}, {"name": "s", "secret": {"secretName": "s"}}, {"name": "h", "hostPath": {"path": "/"}},
                {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            ],
        }}),
    );
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    assert_eq!(
        container["ports"],
        json!([{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}])
    );
    assert_eq!(
        container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"],
        "v1"
    );
    assert_eq!(
        container["livenessProbe"],
        json!({
            "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1,
            "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
        })
    );
    assert_eq!(
        container["readinessProbe"]["grpc"],
        json!({"port": 1, "service": ""})
    );
    assert_eq!(container["readinessProbe"]["periodSeconds"], 3);
    assert_eq!(
        container["lifecycle"]["preStop"]["httpGet"]["scheme"],
        "HTTP"
    );
    let limits = json!({"cpu": "1", "memory": "1m"});
    assert_eq!(
        container["resources"]["limits"], limits,
        "a thousandth is the smallest amount"
    );
    assert_eq!(pod["spec"]["serviceAccountName"], "robot");
    assert_eq!(
        pod["spec"]["volumes"],
        json!([
            {"name": "none", "emptyDir": {}},
            {"name": "s", "secret": {"secretName": "s", "defaultMode": 420}},
            {"name": "h", "hostPath": {"path": "/", "type": ""}},
            {"name": "p", "projected": {
                "defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
            }},
        ])
    );
}

#[test]
fn templates_keep_requests_and_links_as_written() {
    let template =
        json!({"spec": {"containers": [{"image": "a:1", "resources": {"limits": {"cpu": "1"}}}]}});
    let deployment = defaulted(
        "apps/v1",
        "Deployment",
        json!({"spec": {"template": template}}),
    );
    let spec = &deployment["spec"]["template"]["spec"];
    assert_eq!(
        spec["containers"][0]["resources"],
        json!({"limits": {"cpu": "1"}})
    );
    assert!(spec.get("enableServiceLinks").is_none());
    assert_eq!(spec["restartPolicy"], "Always");
}

#[test]
fn workloads() {
    let deployment = defaulted(
        "apps/v1",
        "Deployment",
        json!({"spec": {"template": {"spec": {}}}}),
    );
    assert_eq!(deployment["spec"]["replicas"], 1);
    assert_eq!(
        deployment["spec"]["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    assert_eq!(deployment["spec"]["progressDeadlineSeconds"], 600);
    let recreate = defaulted(
        "apps/v1",
        "Deployment",
        json!({"spec": {"strategy": {"type": "Recreate"}}}),
    );
    assert_eq!(recreate["spec"]["strategy"], json!({"type": "Recreate"}));

    let set = defaulted(
        "apps/v1",
        "StatefulSet",
        json!({"spec": {"volumeClaimTemplates": [{"spec": {}}]}}),
    );
    assert_eq!(
        set["spec"]["updateStrategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    );
    assert_eq!(
        set["spec"]["volumeClaimTemplates"],
        json!([{
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "spec": {"volumeMode": "Filesystem", "resources": {}}, "status": {"phase": "Pending"},
        }])
    );

    let job = defaulted(
        "batch/v1",
        "Job",
        json!({"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}),
    );
    assert_eq!(job["metadata"]["labels"], json!({"a": "b"}));
    assert_eq!(job["spec"]["completions"], 1);
    assert_eq!(job["spec"]["backoffLimit"], 6);
    assert_eq!(job["spec"]["podReplacementPolicy"], "TerminatingOrFailed");
    let work_queue = defaulted("batch/v1", "Job", json!({"spec": {"parallelism": 3}}));
    assert!(work_queue["spec"].get("completions").is_none());

    let cron = defaulted("batch/v1", "CronJob", json!({"spec": {}}));
    assert_eq!(cron["spec"]["concurrencyPolicy"], "Allow");
    assert_eq!(
        cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["dnsPolicy"],
        "ClusterFirst"
    );
    assert!(
        cron["spec"]["jobTemplate"]["spec"]
            .get("completions")
            .is_none()
    );
}

#[test]
fn services() {
    let service = defaulted(
        "v1",
        "Service",
        json!({"spec": {"ports": [{"port": 80}, {"port": 1, "targetPort": "web"}]}}),
    );
    assert_eq!(
        service["spec"],
        json!({
            "ports": [
                {"port": 80, "targetPort": 80, "protocol": "TCP"},
                {"port": 1, "targetPort": "web", "protocol": "TCP"},
            ],
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
        })
    );
    let balanced = defaulted(
        "v1",
        "Service",
        json!({"spec": {"type": "LoadBalancer", "sessionAffinity": "ClientIP"}}),
    );
    assert_eq!(balanced["spec"]["externalTrafficPolicy"], "Cluster");
    assert_eq!(balanced["spec"]["allocateLoadBalancerNodePorts"], true);
    assert_eq!(
        balanced["spec"]["sessionAffinityConfig"],
        json!({"clientIP": {"timeoutSeconds": 10800}})
    );
    let external = defaulted(
        "v1",
        "Service",
        json!({"spec": {"type": "ExternalName", "externalName": "x"}}),
    );
    assert!(external["spec"].get("internalTrafficPolicy").is_none());
}

#[test]
fn smaller_kinds() {
    for (api_version, kind, written, place, expected) in [
        ("v1", "Secret", json!({}), "/type", json!("Opaque")),
        (
            "v1",
            "Namespace",
            json!({"metadata": {"name": "a"}}),
            "/metadata/labels",
            json!({"kubernetes.io/metadata.name": "a"}),
        ),
        (
            "v1",
            "Namespace",
            json!({}),
            "/status/phase",
            json!("Active"),
        ),
        (
            "v1",
            "PersistentVolume",
            json!({}),
            "/spec/persistentVolumeReclaimPolicy",
            json!("Retain"),
        ),
        (
            "v1",
            "PersistentVolumeClaim",
            json!({}),
            "/spec/volumeMode",
            json!("Filesystem"),
        ),
        (
            "storage.k8s.io/v1",
            "StorageClass",
            json!({}),
            "/volumeBindingMode",
            json!("Immediate"),
        ),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            json!({"spec": {"egress": [{}]}}),
            "/spec/policyTypes",
            json!(["Ingress", "Egress"]),
        ),
        (
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            json!({"subjects": [{"kind": "User"}]}),
            "/subjects/0/apiGroup",
            json!("rbac.authorization.k8s.io"),
        ),
        (
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            json!({}),
            "/roleRef/apiGroup",
            json!("rbac.authorization.k8s.io"),
        ),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({}),
            "/spec/metrics/0/resource/target/averageUtilization",
            json!(80),
        ),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({"spec": {"behavior": {"scaleUp": {}}}}),
            "/spec/behavior/scaleDown/selectPolicy",
            json!("Max"),
        ),
        (
            "scheduling.k8s.io/v1",
            "PriorityClass",
            json!({}),
            "/preemptionPolicy",
            json!("PreemptLowerPriority"),
        ),
        (
            "v1",
            "LimitRange",
            json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}]}}),
            "/spec/limits/0/defaultRequest",
            json!({"cpu": "2", "memory": "1Mi"}),
        ),
        (
            "v1",
            "Node",
            json!({"status": {"capacity": {"cpu": "4"}}}),
            "/status/allocatable",
            json!({"cpu": "4"}),
        ),
        (
            "discovery.k8s.io/v1",
            "EndpointSlice",
            json!({"ports": [{"port": 1}]}),
            "/ports/0/protocol",
            json!("TCP"),
        ),
        (
            "admissionregistration.k8s.io/v1",
            "MutatingWebhookConfiguration",
            json!({"webhooks": [{"clientConfig": {"service": {}}}]}),
            "/webhooks/0/clientConfig/service/port",
            json!(443),
        ),
        (
            "flowcontrol.apiserver.k8s.io/v1",
            "FlowSchema",
            json!({}),
            "/spec/matchingPrecedence",
            json!(1000),
        ),
        (
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            json!({"spec": {"names": {"kind": "CronTab"}}}),
            "/spec/names/singular",
            json!("crontab"),
        ),
        (
            "v1",
            "ReplicationController",
            json!({"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}),
            "/spec/selector",
            json!({"a": "b"}),
        ),
    ] {
        let object = defaulted(api_version, kind, written);
        assert_eq!(object.pointer(place), Some(&expected), "{kind} {place}");
    }
}

#[test]
fn resources_of_the_whole_pod() {
    let container = |cpu: &str| json!({"image": "a:1", "resources": {"requests": {"cpu": cpu}}});
    let pod = defaulted(
        "v1",
        "Pod",
        json!({"spec": {
            "containers": [container("1"), container("500m")],
            "resources": {"limits": {"cpu": "4", "memory": "1Gi"}},
        }}),
    );
    assert_eq!(
        pod["spec"]["resources"]["requests"],
        json!({"cpu": "1500m", "memory": "1Gi"})
    );
}

#[test]
fn objects_of_the_wrong_shape_are_left_alone() {
    for object in [
        json!(null),
        json!([]),
        json!({"spec": 3}),
        json!({"spec": {"containers": {"a": 1}}}),
    ] {
        let mut changed = object.clone();
        default_object(KindRef::parse("v1", "Pod"), &mut changed);
        assert_eq!(changed.is_object(), object.is_object());
    }
}
