//! The apiserver as people use it: with kubectl.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "says loudly what was not tested")]

use std::time::Duration;

use mainstay_tests::apiserver::{Apiserver, Said, has_kubectl};
use mainstay_tests::{Cluster, wait_until};

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

/// Applies a manifest from a file beside the server's.
async fn with_file(server: &Apiserver, arguments: &[&str], manifest: &str) -> Said {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("manifest.yaml");
    std::fs::write(&path, manifest).unwrap();
    let mut all = arguments.to_vec();
    let path = path.to_str().unwrap().to_owned();
    all.extend(["-f", &path]);
    server.kubectl(&all).await
}

/// Commands with a part of what each must print; those that begin with `!` must fail.
const SESSION: &[(&str, &str)] = &[
    ("get namespaces -o name", "namespace/kube-system"),
    ("create serviceaccount default", "created"),
    (
        "create deployment web --image=nginx:1.27 --replicas=3",
        "created",
    ),
    ("get deployment web", "0/3"),
    ("scale deployment web --replicas=5", "scaled"),
    ("set image deployment/web nginx=nginx:1.28", "image updated"),
    ("label deployment web tier=front", "labeled"),
    (
        "get deployments -l tier=front -o name",
        "deployment.apps/web",
    ),
    ("get deployments -l tier!=front -o name", ""),
    ("get deployment web -o jsonpath={.metadata.generation}", "3"),
    ("expose deployment web --port=80 --type=NodePort", "exposed"),
    ("get service web", "NodePort"),
    ("rollout restart deployment/web", "restarted"),
    ("create configmap c --from-literal=a=b", "created"),
    (
        "!create configmap c --from-literal=a=b",
        "configmaps \"c\" already exists",
    ),
    (
        "patch configmap c --type=merge -p {\"data\":{\"a\":null,\"x\":\"y\"}}",
        "patched",
    ),
    ("get configmap c -o jsonpath={.data}", "{\"x\":\"y\"}"),
    ("!get configmap d", "configmaps \"d\" not found"),
    (
        "!create configmap Bad_Name",
        "a lowercase RFC 1123 subdomain",
    ),
    ("create token default", "ey"),
    ("auth can-i create pods", "yes"),
    ("!auth can-i create pods --as=bob", "no"),
    (
        "!get pods --as=bob",
        "pods is forbidden: User \"bob\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
    ),
    (
        "create role reader --verb=get,list --resource=pods",
        "created",
    ),
    (
        "create rolebinding reader --role=reader --user=bob",
        "created",
    ),
    ("explain deployment.spec.strategy", "rollingUpdate"),
    ("create job j --image=busybox", "created"),
    ("delete configmap c", "deleted"),
    ("api-resources -o name", "deployments.apps"),
];

#[tokio::test]
async fn a_session_prints_what_upstream_prints() {
    let Some((_cluster, server)) = start().await else {
        return;
    };
    for (line, expected) in SESSION {
        let (must_fail, line) = match line.strip_prefix('!') {
            Some(line) => (true, line),
            None => (false, *line),
        };
        let arguments: Vec<&str> = line.split(' ').collect();
        let said = server.kubectl(&arguments).await;
        assert_eq!(said.ok, !must_fail, "kubectl {line}\n{}", said.text);
        assert!(
            said.text.contains(expected),
            "kubectl {line}\n{}",
            said.text
        );
    }
    // Permissions reach the authorizer by a watch.
    wait_until("bob may list pods", Duration::from_secs(10), async || {
        let said = server.kubectl(&["get", "pods", "--as=bob"]).await;
        said.ok.then_some(())
    })
    .await;
}

const MANIFEST: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: s}
spec:
  serviceName: s
  selector: {matchLabels: {app: s}}
  template:
    metadata: {labels: {app: s}}
    spec:
      containers:
      - {name: c, image: busybox, env: [{name: A, value: '1'}]}
";

#[tokio::test]
async fn apply_merges_diffs_and_refuses() {
    let Some((_cluster, server)) = start().await else {
        return;
    };
    let apply = ["apply"];
    let said = with_file(&server, &apply, MANIFEST).await;
    assert!(
        said.text.contains("statefulset.apps/s created"),
        "{}",
        said.text
    );
    let changed = MANIFEST.replace("value: '1'", "value: '2'");
    let said = with_file(&server, &["diff"], &changed).await;
    assert!(
        said.text.contains("+          value: \"2\""),
        "{}",
        said.text
    );
    let said = with_file(&server, &apply, &changed).await;
    assert!(said.text.contains("configured"), "{}", said.text);
    let said = with_file(&server, &apply, &changed).await;
    assert!(said.text.contains("unchanged"), "{}", said.text);
    let immutable = changed.replace("serviceName: s", "serviceName: t");
    let said = with_file(&server, &apply, &immutable).await;
    assert!(!said.ok && said.text.contains("Forbidden"), "{}", said.text);
    let unknown = changed.replace("serviceName", "servcieName");
    let said = with_file(&server, &apply, &unknown).await;
    let expected = "unknown field \"spec.servcieName\"";
    assert!(!said.ok && said.text.contains(expected), "{}", said.text);
    let said = with_file(&server, &["apply", "--server-side"], MANIFEST).await;
    assert!(!said.ok, "server-side apply comes later: {}", said.text);
}

/// Two servers on one store: what one writes the other serves, and either may die.
#[tokio::test]
async fn servers_stand_side_by_side_and_one_may_die() {
    let Some((cluster, mut first)) = start().await else {
        return;
    };
    let mut second = Apiserver::start(&cluster, Some(first.pki())).await;
    let put = ["create", "configmap", "a", "--from-literal=k=1"];
    assert!(first.kubectl(&put).await.ok);
    let version = [
        "get",
        "configmap",
        "a",
        "-o",
        "jsonpath={.metadata.resourceVersion}",
    ];
    let (one, two) = (
        first.kubectl(&version).await,
        second.kubectl(&version).await,
    );
    assert!(one.ok && one == two, "{one:?} {two:?}");
    // Each gives out addresses; none twice.
    for (server, name) in [
        (&first, "s1"),
        (&second, "s2"),
        (&first, "s3"),
        (&second, "s4"),
    ] {
        let service = ["create", "service", "clusterip", name, "--tcp=80"];
        let said = server.kubectl(&service).await;
        assert!(said.ok, "{}", said.text);
    }
    let addresses = [
        "get",
        "services",
        "-o",
        "jsonpath={.items[*].spec.clusterIP}",
    ];
    let said = second.kubectl(&addresses).await;
    let all: Vec<&str> = said.text.split(' ').collect();
    let distinct: std::collections::BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!((all.len(), distinct.len()), (5, 5), "{}", said.text);
    first.kill();
    let said = second
        .kubectl(&[
            "patch",
            "configmap",
            "a",
            "--type=merge",
            "-p",
            "{\"data\":{\"k\":\"2\"}}",
        ])
        .await;
    assert!(said.ok, "{}", said.text);
    let third = Apiserver::start(&cluster, Some(second.pki())).await;
    let said = third
        .kubectl(&["get", "configmap", "a", "-o", "jsonpath={.data.k}"])
        .await;
    assert_eq!(said.text, "2");
    assert!(second.terminate().await, "{}", second.log());
}

/// A watch shows what happens, across the restart of the store under the server.
#[tokio::test]
async fn a_watch_goes_on_when_the_store_restarts() {
    let Some((mut cluster, server)) = start().await else {
        return;
    };
    let output = tempfile::NamedTempFile::new().unwrap();
    let mut watching = server.command(&["get", "configmaps", "-w", "-o", "name"]);
    watching.stdout(output.reopen().unwrap());
    let _watching = watching.spawn().unwrap();
    let shown = async |name: &str| {
        let line = format!("configmap/{name}");
        wait_until(&line, Duration::from_secs(30), async || {
            let text = std::fs::read_to_string(output.path()).unwrap();
            text.lines().any(|own| own == line).then_some(())
        })
        .await;
    };
    assert!(server.kubectl(&["create", "configmap", "before"]).await.ok);
    shown("before").await;
    cluster.kill(0);
    cluster.start_member(0).await;
    wait_until("a write succeeds", Duration::from_secs(30), async || {
        let said = server.kubectl(&["create", "configmap", "after"]).await;
        said.ok.then_some(())
    })
    .await;
    shown("after").await;
    let text = std::fs::read_to_string(output.path()).unwrap();
    let count = text
        .lines()
        .filter(|line| *line == "configmap/before")
        .count();
    assert_eq!(count, 1, "{text}");
}
