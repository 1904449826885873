//! Objects as sent, as they were, and as they are prepared.

use super::*;
use serde_json::json;

const NOW: &str = "2026-01-02T03:04:05Z";

fn context<'a>() -> Context<'a> {
    Context {
        now: NOW,
        user: User::default(),
    }
}

fn created(group: &str, kind: &str, mut object: Value) -> Value {
    prepare_for_create(KindRef::new(group, "v1", kind), &mut object, &context());
    object
}

fn updated(group: &str, kind: &str, part: Part, old: &Value, mut new: Value) -> Value {
    prepare_for_update(
        KindRef::new(group, "v1", kind),
        &mut new,
        old,
        part,
        &context(),
    );
    new
}

#[test]
fn every_row_is_sound() {
    for (at, row) in rows::TABLE.iter().enumerate() {
        if let Status::Initial(status) = row.status {
            assert!(
                serde_json::from_str::<Value>(status).unwrap().is_object(),
                "{}",
                row.kind
            );
        }
        let again = |other: &&Strategy| (other.group, other.kind) == (row.group, row.kind);
        assert!(
            !rows::TABLE[..at].iter().any(|other| again(&other)),
            "{} is there twice",
            row.kind
        );
    }
}

#[test]
fn a_client_sets_the_spec_and_the_server_the_status() {
    let deployment = created(
        "apps",
        "Deployment",
        json!({"spec": {"replicas": 2}, "status": {"replicas": 9}}),
    );
    assert_eq!(deployment["status"], json!({}));
    assert_eq!(deployment["metadata"]["generation"], 1);

    let mut old = deployment;
    old["status"] = json!({"replicas": 2});
    let new = updated(
        "apps",
        "Deployment",
        Part::Main,
        &old,
        json!({"spec": {"replicas": 3}, "status": {}}),
    );
    assert_eq!(new["status"], json!({"replicas": 2}));
    assert_eq!(new["metadata"]["generation"], 2);

    let wrote = json!({"spec": {"replicas": 7}, "status": {"replicas": 3}, "metadata": {"labels": {"a": "b"}}});
    let new = updated("apps", "Deployment", Part::Status, &old, wrote);
    assert_eq!(new["spec"], json!({"replicas": 2}));
    assert_eq!(new["status"], json!({"replicas": 3}));
    assert_eq!(
        new["metadata"],
        json!({"generation": 1}),
        "labels stay, too"
    );
}

#[test]
fn generation_counts_what_the_kind_says() {
    for (group, kind, old, new, rises) in [
        (
            "apps",
            "ReplicaSet",
            json!({"spec": {"a": 1}}),
            json!({"spec": {"a": 1}}),
            false,
        ),
        (
            "apps",
            "ReplicaSet",
            json!({"spec": {"a": 1}}),
            json!({"spec": {"a": 1, "b": []}}),
            false,
        ),
        (
            "apps",
            "ReplicaSet",
            json!({"spec": {"a": 1}}),
            json!({"spec": {"a": 2}}),
            true,
        ),
        (
            "apps",
            "Deployment",
            json!({}),
            json!({"metadata": {"annotations": {"a": "b"}}}),
            true,
        ),
        (
            "apps",
            "StatefulSet",
            json!({}),
            json!({"metadata": {"annotations": {"a": "b"}}}),
            false,
        ),
        (
            "discovery.k8s.io",
            "EndpointSlice",
            json!({}),
            json!({"metadata": {"labels": {"a": "b"}}}),
            true,
        ),
        (
            "discovery.k8s.io",
            "EndpointSlice",
            json!({}),
            json!({"ports": [{"port": 1}]}),
            true,
        ),
        (
            "",
            "ConfigMap",
            json!({}),
            json!({"data": {"a": "b"}}),
            false,
        ),
        (
            "scheduling.k8s.io",
            "PriorityClass",
            json!({}),
            json!({"value": 1}),
            false,
        ),
    ] {
        let mut before = old.clone();
        crate::value::set(&mut before, "metadata.generation", 4);
        let after = updated(group, kind, Part::Main, &before, new.clone());
        let expected = if rises { 5 } else { 4 };
        assert_eq!(
            after["metadata"]["generation"], expected,
            "{kind} {old} {new}"
        );
    }
}

#[test]
fn pods_begin_pending() {
    let pod = created(
        "",
        "Pod",
        json!({
            "metadata": {"labels": {"app": "a"}},
            "spec": {
                "schedulingGates": [{"name": "wait"}],
                "containers": [{"resources": {"requests": {"cpu": "1"}}}],
                "topologySpreadConstraints": [{"labelSelector": {}, "matchLabelKeys": ["app", "gone"]}],
            },
            "status": {"phase": "Running"},
        }),
    );
    assert_eq!(pod["status"]["phase"], "Pending");
    assert_eq!(pod["status"]["qosClass"], "Burstable");
    assert_eq!(pod["status"]["conditions"][0]["reason"], "SchedulingGated");
    assert_eq!(
        pod["spec"]["topologySpreadConstraints"][0]["labelSelector"],
        json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a"]}]})
    );
}

#[test]
fn subresources_of_pods_change_their_part_alone() {
    let old = json!({
        "metadata": {"labels": {"a": "1"}},
        "spec": {"containers": [{"name": "c", "image": "i:1"}]}, "status": {"phase": "Running", "qosClass": "BestEffort"},
    });
    let debug = json!({"metadata": {"labels": {}}, "spec": {"ephemeralContainers": [{"name": "e"}], "containers": []}});
    let new = updated("", "Pod", Part::EphemeralContainers, &old, debug);
    assert_eq!(new["spec"]["containers"], old["spec"]["containers"]);
    assert_eq!(new["spec"]["ephemeralContainers"], json!([{"name": "e"}]));
    assert_eq!(new["metadata"]["labels"], old["metadata"]["labels"]);
    assert_eq!(new["status"], old["status"]);

    let bigger = json!({"spec": {"containers": [{"name": "c", "image": "other", "resources": {"limits": {"cpu": "2"}}}]}});
    let new = updated("", "Pod", Part::Resize, &old, bigger);
    assert_eq!(
        new["spec"]["containers"],
        json!([{"name": "c", "image": "i:1", "resources": {"limits": {"cpu": "2"}}}])
    );

    let new = updated(
        "",
        "Pod",
        Part::Status,
        &old,
        json!({"status": {"phase": "Failed", "podIP": "10.0.0.1"}}),
    );
    assert_eq!(
        new["status"],
        json!({
            "phase": "Failed", "qosClass": "BestEffort", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}],
        })
    );
    assert_eq!(new["spec"], old["spec"]);
}

#[test]
fn services_keep_what_was_given_to_them() {
    let old = json!({"spec": {
        "type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "externalTrafficPolicy": "Cluster",
        "ports": [{"name": "a", "port": 1, "nodePort": 30001}],
    }, "status": {"loadBalancer": {}}});
    let new = updated(
        "",
        "Service",
        Part::Main,
        &old,
        json!({"spec": {"type": "NodePort", "ports": [{"name": "a", "port": 2}]}}),
    );
    assert_eq!(new["spec"]["clusterIPs"], json!(["10.0.0.1"]));
    assert_eq!(new["spec"]["ports"][0]["nodePort"], 30001);

    let mut internal = old.clone();
    internal["spec"]["type"] = "ClusterIP".into();
    let new = updated("", "Service", Part::Main, &old, internal);
    assert!(new["spec"]["ports"][0].get("nodePort").is_none());
    assert!(new["spec"].get("externalTrafficPolicy").is_none());

    let mut alias = old.clone();
    alias["spec"]["type"] = "ExternalName".into();
    let new = updated("", "Service", Part::Main, &old, alias);
    assert!(new["spec"].get("clusterIP").is_none() && new["spec"].get("clusterIPs").is_none());
}

#[test]
fn jobs_select_their_pods_by_uid() {
    let job = created(
        "batch",
        "Job",
        json!({"metadata": {"name": "j", "uid": "u-1"}, "spec": {"template": {}}}),
    );
    assert_eq!(
        job["spec"]["selector"],
        json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}})
    );
    assert_eq!(
        job["spec"]["template"]["metadata"]["labels"],
        json!({
            "job-name": "j", "batch.kubernetes.io/job-name": "j",
            "controller-uid": "u-1", "batch.kubernetes.io/controller-uid": "u-1",
        })
    );
    let manual = json!({"spec": {"manualSelector": true, "template": {}}});
    assert!(
        created("batch", "Job", manual)["spec"]
            .get("selector")
            .is_none()
    );
}

#[test]
fn daemon_sets_count_their_templates() {
    const COUNT: &str = "deprecated.daemonset.template.generation";
    let old = created("apps", "DaemonSet", json!({"spec": {"template": {"a": 1}}}));
    assert_eq!(old["metadata"]["annotations"][COUNT], "1");
    let new = updated(
        "apps",
        "DaemonSet",
        Part::Main,
        &old,
        json!({"spec": {"template": {"a": 2}}}),
    );
    assert_eq!(new["metadata"]["annotations"][COUNT], "2");
    assert_eq!(new["metadata"]["generation"], 2);
}

#[test]
fn namespaces_secrets_and_volumes() {
    let namespace = created("", "Namespace", json!({"metadata": {"name": "a"}}));
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
    let new = updated(
        "",
        "Namespace",
        Part::Main,
        &namespace,
        json!({"spec": {"finalizers": []}}),
    );
    assert_eq!(new["spec"]["finalizers"], json!(["kubernetes"]));
    let new = updated(
        "",
        "Namespace",
        Part::Finalize,
        &namespace,
        json!({"spec": {"finalizers": []}}),
    );
    assert_eq!(new["spec"]["finalizers"], json!([]));
    assert_eq!(new["status"]["phase"], "Active");

    let secret = created(
        "",
        "Secret",
        json!({"data": {"a": "eA==", "b": "eA=="}, "stringData": {"a": "hello"}}),
    );
    assert_eq!(secret, json!({"data": {"a": "aGVsbG8=", "b": "eA=="}}));

    let volume = created("", "PersistentVolume", json!({}));
    assert_eq!(
        volume["status"],
        json!({"phase": "Pending", "lastPhaseTransitionTime": NOW})
    );
    let source = json!({"spec": {"dataSource": {"kind": "PersistentVolumeClaim", "name": "a"}}});
    let claim = created("", "PersistentVolumeClaim", source);
    assert_eq!(claim["spec"]["dataSourceRef"], claim["spec"]["dataSource"]);
}

#[test]
fn certificate_requests_say_who_asked() {
    let groups = ["g".to_owned()];
    let user = User {
        name: "jane",
        uid: "7",
        groups: &groups,
        extra: &[],
    };
    let mut request = json!({"spec": {"username": "root", "extra": {"a": ["b"]}, "request": "x"}});
    let kind = KindRef::new("certificates.k8s.io", "v1", "CertificateSigningRequest");
    prepare_for_create(kind, &mut request, &Context { now: NOW, user });
    assert_eq!(
        request["spec"],
        json!({"username": "jane", "uid": "7", "groups": ["g"], "request": "x"})
    );

    let approval = json!({"spec": {"request": "y"}, "status": {"conditions": [{"type": "Approved", "status": "True"}]}});
    let new = updated(
        "certificates.k8s.io",
        "CertificateSigningRequest",
        Part::Approval,
        &request,
        approval,
    );
    assert_eq!(new["spec"], request["spec"]);
    assert_eq!(new["status"]["conditions"][0]["lastUpdateTime"], NOW);
}

#[test]
fn pods_are_given_time_to_end() {
    let pod = KindRef::new("", "v1", "Pod");
    let running = json!({"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30}});
    let waiting = json!({"spec": {"terminationGracePeriodSeconds": 30}});
    assert_eq!(grace_period_seconds(pod, &running, None), Some(30));
    assert_eq!(grace_period_seconds(pod, &running, Some(5)), Some(5));
    assert_eq!(grace_period_seconds(pod, &running, Some(-1)), Some(1));
    assert_eq!(grace_period_seconds(pod, &waiting, Some(5)), Some(0));
    assert_eq!(
        grace_period_seconds(KindRef::new("", "v1", "Secret"), &running, Some(5)),
        None
    );
}
