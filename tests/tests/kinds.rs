//! Every kind that can be created: made, read, changed and deleted as people do it.

#![expect(clippy::print_stderr, reason = "says loudly what was not tested")]

use std::collections::BTreeSet;
use std::path::Path;

use mainstay_tests::Cluster;
use mainstay_tests::apiserver::{Apiserver, has_kubectl};

/// `None`, said aloud, where there is no kubectl.
async fn start() -> Option<(Cluster, Apiserver)> {
    if !has_kubectl() {
        eprintln!("SKIPPED: there is no kubectl");
        return None;
    }
    let cluster = Cluster::start(1).await;
    let server = Apiserver::start(&cluster, None).await;
    Some((cluster, server))
}

/// Resources whose objects do nothing yet and so cannot be created.
const LATER: &[&str] = &[
    "apiservices.apiregistration.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
    "flowschemas.flowcontrol.apiserver.k8s.io",
    "mutatingadmissionpolicies.admissionregistration.k8s.io",
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
];

/// Resources that other tests and the set-up of this one create.
const ELSEWHERE: &[&str] = &[
    "certificatesigningrequests.certificates.k8s.io",
    "serviceaccounts",
];

/// What a controller would write as status, by resource; what can then be read at a path.
const STATUSES: &[(&str, &str, &str, &str)] = &[
    (
        "namespace",
        r#"{"phase":"Active"}"#,
        "{.status.phase}",
        "Active",
    ),
    (
        "node",
        r#"{"nodeInfo":{"kubeletVersion":"v1"}}"#,
        "{.status.nodeInfo.kubeletVersion}",
        "v1",
    ),
    (
        "pv",
        r#"{"phase":"Available"}"#,
        "{.status.phase}",
        "Available",
    ),
    ("pvc", r#"{"phase":"Bound"}"#, "{.status.phase}", "Bound"),
    (
        "pod",
        r#"{"phase":"Running"}"#,
        "{.status.phase}",
        "Running",
    ),
    ("rc", r#"{"replicas":2}"#, "{.status.replicas}", "2"),
    (
        "quota",
        r#"{"hard":{"pods":"9"},"used":{"pods":"1"}}"#,
        "{.status.used.pods}",
        "1",
    ),
    (
        "service",
        r#"{"conditions":[]}"#,
        "{.status.loadBalancer}",
        "{}",
    ),
    (
        "daemonset",
        r#"{"numberReady":2}"#,
        "{.status.numberReady}",
        "2",
    ),
    ("deployment", r#"{"replicas":2}"#, "{.status.replicas}", "2"),
    ("replicaset", r#"{"replicas":2}"#, "{.status.replicas}", "2"),
    (
        "statefulset",
        r#"{"replicas":2}"#,
        "{.status.replicas}",
        "2",
    ),
    (
        "hpa",
        r#"{"desiredReplicas":2}"#,
        "{.status.desiredReplicas}",
        "2",
    ),
    (
        "cronjob",
        r#"{"lastScheduleTime":"2026-01-01T00:00:00Z"}"#,
        "{.status.lastScheduleTime}",
        "2026-01-01T00:00:00Z",
    ),
    (
        "job",
        r#"{"active":1,"startTime":"2026-01-01T00:00:00Z"}"#,
        "{.status.active}",
        "1",
    ),
    (
        "ingress",
        r#"{"loadBalancer":{"ingress":[{"ip":"10.1.1.1"}]}}"#,
        "{.status.loadBalancer.ingress[0].ip}",
        "10.1.1.1",
    ),
    (
        "servicecidr",
        r#"{"conditions":[{"type":"Ready","status":"True","reason":"R","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}"#,
        "{.status.conditions[0].status}",
        "True",
    ),
    (
        "pdb",
        r#"{"expectedPods":2}"#,
        "{.status.expectedPods}",
        "2",
    ),
    (
        "volumeattachment",
        r#"{"attached":true}"#,
        "{.status.attached}",
        "true",
    ),
    (
        "resourceclaim",
        r#"{"devices":[]}"#,
        "{.kind}",
        "ResourceClaim",
    ),
];

#[tokio::test]
async fn every_kind_is_made_read_changed_and_deleted() {
    let Some((_cluster, server)) = start().await else {
        return;
    };
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kinds/every_kind.yaml");
    let file = manifest.to_str().unwrap();
    let documents = std::fs::read_to_string(&manifest).unwrap();
    let count = documents.split("\n---\n").count();
    let run = async |arguments: &[&str]| {
        let mut all = vec!["--namespace=kinds"];
        all.extend(arguments);
        let said = server.kubectl(&all).await;
        assert!(said.ok, "kubectl {arguments:?}\n{}", said.text);
        said.text
    };
    run(&["create", "namespace", "kinds"]).await;
    run(&["create", "serviceaccount", "one"]).await;
    let text = run(&["create", "-f", file]).await;
    assert_eq!(text.matches(" created").count(), count, "{text}");
    let mut named = run(&["get", "-f", file, "-o", "name"]).await;
    // That endpoints are deprecated comes after the names.
    named.truncate(named.find("Warning: ").unwrap_or(named.len()));
    assert_eq!(named.lines().count(), count, "{named}");

    let creatable = run(&["api-resources", "--verbs=create,list", "-o", "name"]).await;
    let singular = |name: &str| name.split('/').next().unwrap_or(name).to_owned();
    let made: BTreeSet<String> = named.lines().map(singular).collect();
    for resource in creatable.lines() {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        let is_plural = |name: &str| {
            let ending = name.strip_suffix('y').map(|stem| format!("{stem}ies"));
            [name.to_owned(), format!("{name}s"), format!("{name}es")].contains(&plural.to_owned())
                || ending.as_deref() == Some(plural)
        };
        let kind = made.iter().any(|own| {
            let (name, own_group) = own.split_once('.').unwrap_or((own, ""));
            own_group == group && is_plural(name)
        });
        let known = LATER.contains(&resource) || ELSEWHERE.contains(&resource);
        assert!(
            kind != known,
            "{resource} is tested and told apart: {named}"
        );
    }

    let text = run(&["label", "-f", file, "seen=yes"]).await;
    assert_eq!(text.matches(" labeled").count(), count, "{text}");
    for (resource, status, path, expected) in STATUSES {
        let patch = format!(r#"{{"status":{status}}}"#);
        let patch = [
            "patch",
            resource,
            "one",
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        run(&patch).await;
        let output = format!("-o=jsonpath={path}");
        let text = run(&["get", resource, "one", &output]).await;
        assert_eq!(text, *expected, "{resource}");
    }
    let all = "get -f FILE --no-headers -o custom-columns=L:.metadata.labels.seen";
    let all: Vec<&str> = all
        .split(' ')
        .map(|word| if word == "FILE" { file } else { word })
        .collect();
    assert_eq!(run(&all).await.matches("yes").count(), count);

    // A resource whose objects would do nothing says so.
    let schema = "apiVersion: flowcontrol.apiserver.k8s.io/v1\nkind: FlowSchema\nmetadata: {name: one}\nspec: {priorityLevelConfiguration: {name: one}}\n";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later.yaml");
    std::fs::write(&path, schema).unwrap();
    let said = server
        .kubectl(&["create", "-f", path.to_str().unwrap()])
        .await;
    assert!(
        !said.ok && said.text.contains("cannot be created"),
        "{}",
        said.text
    );

    let text = run(&["delete", "-f", file, "--wait=false"]).await;
    assert_eq!(text.matches(" deleted").count(), count, "{text}");
}

/// Changes of one service in order (merge patches), with a place to look at and what must be there; or, after `!`,
/// what the refusal says. `ADDRESS` stands for the address the service had first, `ANY` for something.
const SERVICE_STEPS: &[(&str, &str, &str)] = &[
    (r#"{"type":"NodePort"}"#, "{.spec.clusterIP}", "ADDRESS"),
    (
        r#"{"sessionAffinity":"ClientIP"}"#,
        "{.spec.ports[0].nodePort}",
        "ANY",
    ),
    (
        r#"{"type":"LoadBalancer","externalTrafficPolicy":"Local"}"#,
        "{.spec.healthCheckNodePort}",
        "ANY",
    ),
    (
        r#"{"healthCheckNodePort":30999}"#,
        "!",
        "field is immutable",
    ),
    (
        r#"{"externalTrafficPolicy":"Cluster"}"#,
        "{.spec.healthCheckNodePort}",
        "",
    ),
    (r#"{"type":"ClusterIP"}"#, "{.spec.ports[0].nodePort}", ""),
    (
        r#"{"clusterIP":"10.0.0.77","clusterIPs":["10.0.0.77"]}"#,
        "!",
        "may not change once set",
    ),
    (
        r#"{"ipFamilyPolicy":"RequireDualStack"}"#,
        "!",
        "this cluster is not configured for dual-stack services",
    ),
    (
        r#"{"type":"ExternalName"}"#,
        "!",
        "spec.externalName: Required value",
    ),
    (
        r#"{"type":"ExternalName","externalName":"a.b"}"#,
        "{.spec.clusterIP}",
        "",
    ),
    (
        r#"{"type":"ClusterIP","externalName":null}"#,
        "{.spec.clusterIP}",
        "ANY",
    ),
    (
        r#"{"type":"NodePort","ports":[{"port":80,"nodePort":80}]}"#,
        "!",
        "not in the valid range",
    ),
    (
        r#"{"type":"NodePort","ports":[{"name":"u","port":53,"protocol":"UDP","nodePort":30053},{"name":"t","port":53,"nodePort":30053}]}"#,
        "{.spec.ports[*].nodePort}",
        "30053 30053",
    ),
];

#[tokio::test]
async fn a_service_keeps_and_releases_what_it_was_given() {
    let Some((_cluster, server)) = start().await else {
        return;
    };
    let said = server
        .kubectl(&["create", "service", "clusterip", "s", "--tcp=80"])
        .await;
    assert!(said.ok, "{}", said.text);
    let first = ["get", "service", "s", "-o", "jsonpath={.spec.clusterIP}"];
    let first = server.kubectl(&first).await.text;
    for (change, path, expected) in SERVICE_STEPS {
        let patch = format!(r#"{{"spec":{change}}}"#);
        let said = server
            .kubectl(&["patch", "service", "s", "--type=merge", "-p", &patch])
            .await;
        if *path == "!" {
            assert!(
                !said.ok && said.text.contains(expected),
                "{change}: {}",
                said.text
            );
            continue;
        }
        assert!(said.ok, "{change}: {}", said.text);
        let output = format!("jsonpath={path}");
        let shown = server
            .kubectl(&["get", "service", "s", "-o", &output])
            .await
            .text;
        match *expected {
            "ANY" => assert!(!shown.is_empty(), "{change}"),
            "ADDRESS" => assert_eq!(shown, first, "{change}"),
            expected => assert_eq!(shown, expected, "{change}"),
        }
    }
    // What was given back can be had by another.
    let gone = ["get", "ipaddress", &first];
    mainstay_tests::wait_until(
        "the address is free",
        std::time::Duration::from_secs(10),
        async || (!server.kubectl(&gone).await.ok).then_some(()),
    )
    .await;
    let taken = [
        "create",
        "service",
        "nodeport",
        "t",
        "--tcp=80",
        "--node-port=30053",
    ];
    let said = server.kubectl(&taken).await;
    assert!(
        !said.ok && said.text.contains("provided port is already allocated"),
        "{}",
        said.text
    );
    let tried = [
        "create",
        "service",
        "nodeport",
        "t",
        "--tcp=80",
        "--node-port=30053",
        "--dry-run=server",
    ];
    let said = server.kubectl(&tried).await;
    assert!(
        !said.ok && said.text.contains("provided port is already allocated"),
        "{}",
        said.text
    );
}
