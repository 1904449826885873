use super::*;
use crate::flags::{Outcome, parse};

fn build(arguments: &[&str]) -> Result<Config, Vec<String>> {
    let arguments = arguments.iter().map(|a| (*a).to_owned());
    match parse(arguments, []) {
        Ok(Outcome::Run(values)) => Config::build(&values, false).map_err(|e| e.0),
        other => panic!("expected values, got {other:?}"),
    }
}

#[test]
fn defaults_are_etcds() {
    let c = build(&[]).unwrap();
    assert_eq!(c.data_dir, PathBuf::from("default.etcd"));
    assert_eq!(c.listen_client_urls[0].text, "http://localhost:2379");
    assert_eq!(
        c.initial_cluster["default"][0].text,
        "http://localhost:2380"
    );
    assert_eq!(
        (c.heartbeat_ms, c.election_ms, c.max_txn_ops),
        (100, 1000, 128)
    );
    assert_eq!(c.max_request_bytes, 1_572_864);
    assert_eq!(c.progress_interval, Duration::from_secs(600));
}

#[test]
fn a_name_alone_founds_a_cluster_of_that_name() {
    let c = build(&[
        "--name",
        "m1",
        "--initial-advertise-peer-urls",
        "http://10.0.0.1:2380",
    ])
    .unwrap();
    assert_eq!(c.data_dir, PathBuf::from("m1.etcd"));
    assert_eq!(c.initial_cluster["m1"][0].text, "http://10.0.0.1:2380");
}

#[test]
fn all_problems_come_together() {
    let problems = build(&[
        "--election-timeout=400",
        "--listen-client-urls=http://example.com:2379",
        "--initial-cluster=a=http://localhost:2380,b=http://localhost:2380",
        "--force-new-cluster",
        "--auto-compaction-retention=1h",
        "--cert-file=x",
    ])
    .unwrap_err();
    let expected = [
        "--auto-compaction-retention is not supported yet",
        "--force-new-cluster is not supported yet",
        "--election-timeout[400ms] should be at least as 5 times as --heartbeat-interval[100ms]",
        "expected IP in URL for binding (http://example.com:2379)",
        "--advertise-client-urls is required when --listen-client-urls is set explicitly",
        "initial cluster has duplicate url http://localhost:2380",
        "couldn't find local name \"default\" in the initial cluster configuration",
        "cert-file and key-file must both be present [key: , cert: x]",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn the_cluster_must_hold_what_is_advertised() {
    let problem = |cluster: &str, advertise: &str| {
        build(&[
            "--name=m1",
            "--initial-cluster",
            cluster,
            "--initial-advertise-peer-urls",
            advertise,
        ])
        .unwrap_err()
        .join("|")
    };
    assert_eq!(
        problem("m1=http://a:1,m1=http://b:1", "http://a:1"),
        "--initial-cluster has m1=http://b:1 but missing from --initial-advertise-peer-urls=http://a:1"
    );
    assert_eq!(
        problem("m1=http://a:1", "http://a:1,http://b:1"),
        "--initial-advertise-peer-urls has http://b:1 but missing from --initial-cluster=m1=http://a:1"
    );
    assert!(
        build(&[
            "--name=m1",
            "--initial-cluster=m1=http://a:1,m2=http://b:1",
            "--initial-advertise-peer-urls=http://a:1"
        ])
        .is_ok()
    );
}

#[test]
fn tls_needs_its_files() {
    let problems = build(&[
        "--listen-client-urls=https://127.0.0.1:1",
        "--advertise-client-urls=https://127.0.0.1:1",
        "--peer-client-cert-auth",
    ])
    .unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn feature_gates_are_known_or_refused() {
    assert!(build(&["--feature-gates=LeaseCheckpoint=true,CompactHashCheck=true"]).is_ok());
    assert_eq!(
        build(&["--feature-gates=Nope=true"]).unwrap_err(),
        ["unrecognized feature gate: Nope"]
    );
    assert!(build(&["--feature-gates=InitialCorruptCheck=true"]).is_err());
    assert!(build(&["--feature-gates=InitialCorruptCheck=false"]).is_ok());
}
