//! The specification's examples, and what CoreDNS answers beyond them.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Found, Index};
use crate::wire::{Name, Type};

const ROOM: usize = 100;

fn service(name: &str, spec: Value) -> Service {
    let object = json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec});
    serde_json::from_value(object).expect("it is a service")
}

fn slice(name: &str, service: &str, endpoints: Value, ports: Value) -> EndpointSlice {
    let labels = json!({"kubernetes.io/service-name": service});
    let object = json!({
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
    });
    serde_json::from_value(object).expect("it is a slice")
}

fn at(address: &str) -> Value {
    json!({"addresses": [address], "conditions": {"ready": true}})
}

fn named(address: &str, name: &str) -> Value {
    json!({"addresses": [address], "conditions": {"ready": true}, "hostname": name})
}

fn unready(address: &str) -> Value {
    json!({"addresses": [address], "conditions": {"ready": false, "serving": true}})
}

/// The cluster of the specification's examples, and some more.
fn cluster() -> Index {
    let index = Index::new("cluster.local", 7, 5).expect("it is a domain");
    index.namespace("default", true);
    index.namespace("kube-system", true);
    let https = json!([{"name": "https", "port": 443, "protocol": "TCP"}]);
    let web = json!([
        {"name": "https", "port": 443, "protocol": "TCP"},
        {"name": "dns", "port": 53, "protocol": "UDP"},
    ]);
    let services = [
        ("kubernetes", json!({"clusterIP": "10.3.0.1", "ports": web})),
        (
            "both",
            json!({"clusterIP": "10.3.0.2", "clusterIPs": ["10.3.0.2", "fd00::2"], "ports": [{"port": 80}]}),
        ),
        ("headless", json!({"clusterIP": "None", "ports": https})),
        ("headless-6", json!({"clusterIP": "None", "ports": https})),
        ("none-ready", json!({"clusterIP": "None", "ports": https})),
        (
            "all",
            json!({"clusterIP": "None", "publishNotReadyAddresses": true}),
        ),
        (
            "foo",
            json!({"type": "ExternalName", "externalName": "www.example.com"}),
        ),
        (
            "number",
            json!({"type": "ExternalName", "externalName": "192.0.2.1"}),
        ),
    ];
    for (name, spec) in services {
        index.service(&service(name, spec), true);
    }
    let port = json!([{"name": "https", "port": 8443, "protocol": "TCP"}]);
    let slices = [
        (
            "h-1",
            "headless",
            json!([named("10.3.0.100", "my-pet"), at("10.3.0.101")]),
        ),
        (
            "h-2",
            "headless",
            json!([at("10.3.0.102"), unready("10.3.0.103")]),
        ),
        ("h-6", "headless-6", json!([at("2001:db8::1")])),
        ("n-1", "none-ready", json!([unready("10.3.0.104")])),
        ("a-1", "all", json!([unready("10.3.0.105")])),
        (
            "k-1",
            "kubernetes",
            json!([at("192.0.2.50"), named("192.0.2.51", "first")]),
        ),
    ];
    for (name, of, endpoints) in slices {
        index.slice(&slice(name, of, endpoints, port.clone()), true);
    }
    let own = json!({
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {"clusterIP": "10.3.0.10"},
    });
    index.service(&serde_json::from_value(own).expect("it is a service"), true);
    index.completed();
    index
}

/// What is found, in a short form: `TTL` and owner are looked at once for all.
fn ask(index: &Index, question: &str) -> String {
    let (name, kind) = question.split_once(' ').expect("a name and a type");
    let name = Name::from_text(name).expect("it is a name");
    let kind: Type = kind.parse().expect("it is a type");
    match index.look_up(&name, kind, ROOM, 0) {
        None => "others".to_owned(),
        Some(Found::NoName(soa)) => format!("no name {}", soa.name),
        Some(Found::NoData(soa)) => format!("no data {}", soa.name),
        Some(Found::Unknown) => "unknown".to_owned(),
        Some(Found::Alias(record)) => {
            assert_eq!((&record.name, record.ttl), (&name, 5));
            format!("{} {record}", record.kind)
        }
        Some(Found::Records { answers, .. }) => {
            let mut lines = Vec::new();
            for record in answers {
                assert_eq!(
                    record.name.to_string(),
                    name.to_string(),
                    "as it was written"
                );
                assert_eq!(record.ttl, 5);
                lines.push(format!("{} {record}", record.kind));
            }
            lines.sort();
            lines.join(", ")
        }
    }
}

const NO_NAME: &str = "no name cluster.local.";
const NO_DATA: &str = "no data cluster.local.";

#[test]
fn names_are_those_of_the_specification() {
    let index = cluster();
    for (question, answer) in [
        // 2.2: the version.
        ("dns-version.cluster.local. TXT", "TXT 1.1.0"),
        ("dns-version.cluster.local. A", NO_DATA),
        // 2.3: services with an address.
        ("kubernetes.default.svc.cluster.local. A", "A 10.3.0.1"),
        ("kubernetes.default.svc.cluster.local. AAAA", NO_DATA),
        ("both.default.svc.cluster.local. A", "A 10.3.0.2"),
        ("both.default.svc.cluster.local. AAAA", "AAAA fd00::2"),
        (
            "_https._tcp.kubernetes.default.svc.cluster.local. SRV",
            "SRV 0 100 443 kubernetes.default.svc.cluster.local.",
        ),
        (
            "_dns._udp.kubernetes.default.svc.cluster.local. SRV",
            "SRV 0 100 53 kubernetes.default.svc.cluster.local.",
        ),
        (
            "_https._udp.kubernetes.default.svc.cluster.local. SRV",
            NO_NAME,
        ),
        (
            "_http._tcp.kubernetes.default.svc.cluster.local. SRV",
            NO_NAME,
        ),
        (
            "_https._tcp.kubernetes.default.svc.cluster.local. A",
            NO_DATA,
        ),
        (
            "1.0.3.10.in-addr.arpa. PTR",
            "PTR kubernetes.default.svc.cluster.local.",
        ),
        (
            "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. PTR",
            "PTR both.default.svc.cluster.local.",
        ),
        // 2.4: headless services.
        (
            "headless.default.svc.cluster.local. A",
            "A 10.3.0.100, A 10.3.0.101, A 10.3.0.102",
        ),
        ("headless.default.svc.cluster.local. AAAA", NO_DATA),
        (
            "headless-6.default.svc.cluster.local. AAAA",
            "AAAA 2001:db8::1",
        ),
        (
            "my-pet.headless.default.svc.cluster.local. A",
            "A 10.3.0.100",
        ),
        (
            "10-3-0-101.headless.default.svc.cluster.local. A",
            "A 10.3.0.101",
        ),
        (
            "2001-db8--1.headless-6.default.svc.cluster.local. AAAA",
            "AAAA 2001:db8::1",
        ),
        (
            "_https._tcp.headless.default.svc.cluster.local. SRV",
            "SRV 0 33 8443 10-3-0-101.headless.default.svc.cluster.local., \
             SRV 0 33 8443 10-3-0-102.headless.default.svc.cluster.local., \
             SRV 0 33 8443 my-pet.headless.default.svc.cluster.local.",
        ),
        (
            "100.0.3.10.in-addr.arpa. PTR",
            "PTR my-pet.headless.default.svc.cluster.local.",
        ),
        (
            "101.0.3.10.in-addr.arpa. PTR",
            "PTR 10-3-0-101.headless.default.svc.cluster.local.",
        ),
        ("none-ready.default.svc.cluster.local. A", NO_NAME),
        ("10-3-0-103.headless.default.svc.cluster.local. A", NO_NAME),
        ("all.default.svc.cluster.local. A", "A 10.3.0.105"),
        // 2.5: names elsewhere.
        ("foo.default.svc.cluster.local. A", "CNAME www.example.com."),
        (
            "foo.default.svc.cluster.local. CNAME",
            "CNAME www.example.com.",
        ),
        ("number.default.svc.cluster.local. A", NO_NAME),
    ] {
        assert_eq!(ask(&index, question), answer, "{question}");
    }
}

#[test]
fn what_does_not_exist_is_told_from_what_has_no_such_record() {
    let index = cluster();
    for (question, answer) in [
        ("cluster.local. A", NO_DATA),
        (
            "cluster.local. SOA",
            "SOA ns.dns.cluster.local. hostmaster.cluster.local. 5",
        ),
        ("cluster.local. NS", "NS ns.dns.cluster.local."),
        ("ns.dns.cluster.local. A", "A 10.3.0.10"),
        ("dns.cluster.local. A", NO_DATA),
        ("svc.cluster.local. A", NO_DATA),
        ("pod.cluster.local. A", NO_DATA),
        ("default.svc.cluster.local. A", NO_DATA),
        ("default.pod.cluster.local. A", NO_DATA),
        ("nowhere.svc.cluster.local. A", NO_NAME),
        ("nowhere.pod.cluster.local. A", NO_NAME),
        ("_tcp.kubernetes.default.svc.cluster.local. A", NO_DATA),
        ("_sctp.kubernetes.default.svc.cluster.local. A", NO_NAME),
        ("_tcp.headless.default.svc.cluster.local. A", NO_DATA),
        ("x._tcp.kubernetes.default.svc.cluster.local. A", NO_NAME),
        ("kubernetes.kube-system.svc.cluster.local. A", NO_NAME),
        ("kubernetes.nowhere.svc.cluster.local. A", NO_NAME),
        ("kubernetes.default.cluster.local. A", NO_NAME),
        ("x.kubernetes.default.svc.cluster.local. A", NO_NAME),
        ("a.b.c.kubernetes.default.svc.cluster.local. A", NO_NAME),
        ("kubernetes.default.svc.cluster.local. MX", NO_DATA),
        // What search lists make of other names.
        ("example.com.default.svc.cluster.local. A", NO_NAME),
        ("example.com.cluster.local. A", NO_NAME),
        // Not the cluster's.
        ("example.com. A", "others"),
        ("local. A", "others"),
        ("9.9.3.10.in-addr.arpa. PTR", "others"),
        ("3.10.in-addr.arpa. PTR", "others"),
        ("1.0.3.10.in-addr.arpa. A", "others"),
    ] {
        assert_eq!(ask(&index, question), answer, "{question}");
    }
}

#[test]
fn beyond_the_specification_it_is_as_with_coredns() {
    let index = cluster();
    for (question, answer) in [
        // pods insecure
        ("10-1-2-3.default.pod.cluster.local. A", "A 10.1.2.3"),
        ("10-1-2-3.default.pod.cluster.local. AAAA", NO_DATA),
        ("fd00--5.default.pod.cluster.local. AAAA", "AAAA fd00::5"),
        ("10-1-2-3.nowhere.pod.cluster.local. A", NO_NAME),
        ("10-1-2.default.pod.cluster.local. A", NO_NAME),
        ("a.10-1-2-3.default.pod.cluster.local. A", NO_NAME),
        // Endpoints of services with an address have names as well, and a name of their own only if it was given.
        (
            "192-0-2-50.kubernetes.default.svc.cluster.local. A",
            "A 192.0.2.50",
        ),
        (
            "first.kubernetes.default.svc.cluster.local. A",
            "A 192.0.2.51",
        ),
        ("50.2.0.192.in-addr.arpa. PTR", "others"),
        (
            "51.2.0.192.in-addr.arpa. PTR",
            "PTR first.kubernetes.default.svc.cluster.local.",
        ),
        // A service's own name tells its ports, those without a name among them.
        (
            "both.default.svc.cluster.local. SRV",
            "SRV 0 100 80 both.default.svc.cluster.local.",
        ),
        (
            "my-pet.headless.default.svc.cluster.local. SRV",
            "SRV 0 100 8443 my-pet.headless.default.svc.cluster.local.",
        ),
        // Upper and lower case are the same, and given back as they came.
        ("KuberNETES.Default.SVC.cluster.LOCAL. A", "A 10.3.0.1"),
        (
            "MY-pet.headless.default.svc.cluster.local. A",
            "A 10.3.0.100",
        ),
        (
            "_HTTPS._TCP.Kubernetes.default.svc.cluster.local. SRV",
            "SRV 0 100 443 kubernetes.default.svc.cluster.local.",
        ),
    ] {
        assert_eq!(ask(&index, question), answer, "{question}");
    }
}

#[test]
fn records_of_services_come_with_the_addresses_they_lead_to() {
    let index = cluster();
    let name =
        Name::from_text("_https._tcp.headless.default.svc.cluster.local.").expect("it is a name");
    let Some(Found::Records { additionals, .. }) = index.look_up(&name, Type::SRV, ROOM, 0) else {
        panic!("it is there");
    };
    let beside: Vec<String> = additionals
        .iter()
        .map(|r| format!("{} {}", r.name, r))
        .collect();
    assert_eq!(
        beside,
        [
            "10-3-0-101.headless.default.svc.cluster.local. 10.3.0.101",
            "10-3-0-102.headless.default.svc.cluster.local. 10.3.0.102",
            "my-pet.headless.default.svc.cluster.local. 10.3.0.100",
        ]
    );
}

#[test]
fn names_come_and_go_with_their_objects_in_any_order() {
    let index = Index::new("cluster.local", 1, 5).expect("it is a domain");
    let (a, ptr) = (
        "web.default.svc.cluster.local. A",
        "1.0.0.10.in-addr.arpa. PTR",
    );
    assert_eq!(
        ask(&index, a),
        "unknown",
        "nobody has said that there is nothing"
    );
    assert_eq!(ask(&index, ptr), "unknown");
    index.completed();
    let port = json!([{"port": 80}]);
    let slice = slice("web-1", "web", json!([at("10.0.0.1")]), port);
    index.slice(&slice, true);
    assert_eq!(ask(&index, a), NO_NAME);
    assert_eq!(ask(&index, ptr), "others");
    let headless = service("web", json!({"clusterIP": "None"}));
    index.service(&headless, true);
    assert_eq!(ask(&index, a), "A 10.0.0.1");
    assert_eq!(
        ask(&index, ptr),
        "PTR 10-0-0-1.web.default.svc.cluster.local."
    );
    let addressed = service("web", json!({"clusterIP": "10.3.0.9"}));
    index.service(&addressed, true);
    assert_eq!(ask(&index, a), "A 10.3.0.9");
    assert_eq!(ask(&index, ptr), "others");
    index.slice(&slice, false);
    assert_eq!(ask(&index, a), "A 10.3.0.9");
    index.service(&addressed, false);
    assert_eq!(ask(&index, a), NO_NAME);
    assert_eq!(ask(&index, "9.0.3.10.in-addr.arpa. PTR"), "others");
    assert_eq!(index.services(), 0);
}

#[test]
fn an_answer_is_no_larger_than_there_is_room_and_begins_anywhere() {
    let index = Index::new("cluster.local", 1, 5).expect("it is a domain");
    index.service(&service("big", json!({"clusterIP": "None"})), true);
    let endpoints: Vec<Value> = (0..1000)
        .map(|n| at(&format!("10.1.{}.{}", n / 250, n % 250)))
        .collect();
    index.slice(
        &slice("b", "big", json!(endpoints), json!([{"port": 1}])),
        true,
    );
    let name = Name::from_text("big.default.svc.cluster.local.").expect("it is a name");
    let first = |spin| match index.look_up(&name, Type::A, 30, spin) {
        Some(Found::Records { answers, .. }) => {
            assert_eq!(answers.len(), 30);
            answers[0].to_string()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        [first(0), first(500), first(1000)],
        ["10.1.0.0", "10.1.2.0", "10.1.0.0"]
    );
    match index.look_up(&name, Type::SRV, 30, 0) {
        Some(Found::Records { answers, .. }) => assert_eq!(answers.len(), 30),
        other => panic!("{other:?}"),
    }
}

proptest! {
    /// Whatever is asked, there is an answer, and one below something that does not exist is that it does not exist.
    #[test]
    fn nothing_exists_below_what_does_not(labels in prop::collection::vec(
        prop::sample::select(vec![
            "svc", "pod", "default", "kubernetes", "headless", "my-pet", "_tcp", "_https", "x", "10-1-2-3",
            "dns-version", "dns", "ns", "none-ready", "foo",
        ]), 2..7,
    )) {
        let index = cluster();
        let found = |labels: &[&str]| {
            let name = format!("{}.cluster.local.", labels.join("."));
            let name = Name::from_text(&name).expect("it is a name");
            index.look_up(&name, Type::A, ROOM, 0).expect("it is the cluster's")
        };
        let (whole, parent) = (found(&labels), found(&labels[1..]));
        // But for endpoints' names, which a service has while none of them is ready.
        if matches!(parent, Found::NoName(_)) {
            prop_assert!(matches!(whole, Found::NoName(_)), "{labels:?}");
        }
    }
}
