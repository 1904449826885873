//! What packets do, in both modes.

use std::collections::BTreeSet;

use proxy::{Mode, NodePorts};
use serde_json::json;

use super::town::{A, B, C, NODE, Town, wish};

const VIP: &str = "10.96.0.1:80";

/// Who answers, of so many that ask.
fn answers(ask: impl Fn() -> String) -> BTreeSet<String> {
    (0..40)
        .map(|_| ask().split(' ').next().unwrap().to_owned())
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Of both modes.
const FAILURES: [&str; 2] = [
    "kubeproxy_sync_proxy_rules_nftables_sync_failures_total",
    "kubeproxy_sync_proxy_rules_iptables_restore_failures_total",
];

fn for_each_mode(case: impl Fn(&Town)) {
    for mode in MODES {
        match Town::new(mode) {
            Some(town) => {
                case(&town);
                // A failure is made good by writing everything, and would not be seen.
                assert_eq!(town.figure(FAILURES[0]) + town.figure(FAILURES[1]), 0.0);
            }
            None => return,
        }
    }
}

const MODES: [Mode; 2] = [Mode::Nftables, Mode::Iptables];

#[test]
fn a_cluster_ip_is_answered_by_all_endpoints_and_refused_without_any() {
    for_each_mode(|town| {
        town.serve(&[], json!({}));
        town.until("nobody answers", || town.client.tcp_soon(VIP) == "refused");
        town.until("UDP too", || town.client.udp(VIP).ask() == "refused");
        if town.mode == Mode::Nftables {
            let other_port = town.client.tcp("10.96.0.1:81");
            assert_eq!(other_port, "refused", "another port");
        }
        town.ends(&[A, B, C]);
        town.until("all three answer", || {
            answers(|| town.client.tcp_soon(VIP)) == set(&["a", "b", "c"])
        });
        assert_eq!(
            answers(|| town.client.udp(VIP).ask()),
            set(&["a", "b", "c"])
        );
        // From outside of the pods' range: the answer must come back by this node.
        town.ends(&[B]);
        town.until("one answers", || {
            answers(|| town.client.tcp_soon(VIP)) == set(&["b"])
        });
        assert_eq!(town.client.tcp(VIP), "b 10.244.2.1");
        // A pod is seen with its own address.
        assert_eq!(town.pods[2].tcp(VIP), "b 10.244.3.2");
        // The node itself asks too.
        assert_eq!(town.node.tcp(VIP), "b 10.244.2.1");
        // A pod that comes to itself by way of its service is seen with the node's.
        town.ends(&[A]);
        town.until("a answers itself", || {
            town.pods[0].tcp_soon(VIP) == "a 10.244.1.1"
        });
        town.board
            .remove_service(&mainstay_client::Key::new("a", "web"));
        town.until("nothing is left", || {
            town.client.tcp_soon(VIP) != "a 10.244.1.1"
        });
    });
}

#[test]
fn node_ports_and_external_addresses_follow_their_policy() {
    for_each_mode(|town| {
        let ports = json!([
            {"name": "t", "port": 80, "nodePort": 30080}, {"name": "u", "port": 80, "protocol": "UDP", "nodePort": 30080},
        ]);
        let spec = |policy: &str| {
            json!({
                "spec": {"type": "LoadBalancer", "ports": ports, "externalIPs": ["192.0.2.1"],
                         "externalTrafficPolicy": policy, "healthCheckNodePort": 32001},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}]}},
            })
        };
        let node_port = format!("{NODE}:30080");
        let ways = [node_port.as_str(), "192.0.2.1:80", "192.0.2.2:80"];
        town.serve(&[A, B], spec("Cluster"));
        for way in ways {
            town.until("both answer", || {
                answers(|| town.client.tcp_soon(way)) == set(&["a", "b"])
            });
        }
        assert_eq!(
            answers(|| town.client.udp(&node_port).ask()),
            set(&["a", "b"])
        );

        town.service(spec("Local"));
        for way in ways {
            town.until("the one here answers, and sees who asks", || {
                answers(|| town.client.tcp_soon(way)) == set(&["a"])
                    && town.client.tcp(way) == "a 10.250.0.2"
            });
            // The node itself and its pods reach all.
            assert_eq!(answers(|| town.node.tcp(way)), set(&["a", "b"]), "{way}");
            assert_eq!(answers(|| town.pods[2].tcp(way)), set(&["a", "b"]), "{way}");
        }
        let told = town.ports.borrow().values().copied().collect::<Vec<_>>();
        assert_eq!(told, [(32001, 1)], "for load balancers");

        town.ends(&[B]);
        for way in ways {
            town.until("there is none here", || {
                town.client.tcp_soon(way) == "no answer"
            });
            assert!(town.node.tcp(way).starts_with("b "), "{way}");
        }
        town.ends(&[]);
        for way in ways {
            town.until("there is none", || town.client.tcp_soon(way) == "refused");
        }
    });
}

#[test]
fn traffic_of_the_cluster_stays_on_the_node_if_so_wished() {
    for_each_mode(|town| {
        town.serve(&[A, B], json!({"spec": {"internalTrafficPolicy": "Local"}}));
        town.until("the one here answers", || {
            answers(|| town.pods[2].tcp_soon(VIP)) == set(&["a"])
        });
        town.ends(&[B]);
        town.until("there is none here", || {
            town.pods[2].tcp_soon(VIP) == "no answer"
        });
        assert!(
            town.figure(
                "kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy=\"internal\""
            ) > 0.0
        );
        // One that ends, but is the last here, still answers.
        let conditions = json!({"ready": false, "serving": true, "terminating": true});
        town.slice(vec![
            json!({"addresses": [A.0], "nodeName": A.1, "conditions": conditions}),
            json!({"addresses": [B.0], "nodeName": B.1}),
        ]);
        town.until("the last one here answers", || {
            answers(|| town.pods[2].tcp_soon(VIP)) == set(&["a"])
        });
    });
}

#[test]
fn a_client_keeps_its_endpoint_for_as_long_as_is_said() {
    for_each_mode(|town| {
        let sticky = |seconds: u32| json!({"spec": {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}});
        town.serve(&[A, B, C], sticky(10_800));
        town.until("it is there", || town.client.tcp_soon(VIP).len() > 9);
        for asker in [&town.client, &town.pods[0], &town.node] {
            assert_eq!(answers(|| asker.tcp(VIP)).len(), 1, "{}", asker.name);
        }
        // What changes for others does not change it.
        let kept = answers(|| town.client.tcp(VIP));
        let ip = [A, B, C]
            .into_iter()
            .zip(["a", "b", "c"])
            .find(|(_, name)| kept.contains(*name));
        let (end, _) = ip.unwrap();
        town.ends(&[end]);
        town.until("others are gone", || {
            town.pods[0].tcp(VIP).split(' ').next() == kept.first().map(String::as_str)
        });
        town.ends(&[A, B, C]);
        assert_eq!(answers(|| town.client.tcp(VIP)), kept);
        // Another time, then none at all.
        town.service(sticky(1));
        town.service(json!({}));
        town.until("all answer", || {
            answers(|| town.client.tcp_soon(VIP)) == set(&["a", "b", "c"])
        });
    });
}

#[test]
fn a_load_balancer_lets_in_whom_it_is_told() {
    for_each_mode(|town| {
        let spec = |range: &str| {
            json!({
                "spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": [range]},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}]}},
            })
        };
        town.serve(&[A], spec("198.51.100.0/24"));
        town.until("the cluster IP is open", || {
            town.client.tcp_soon(VIP).starts_with("a ")
        });
        assert_eq!(town.client.tcp_soon("192.0.2.2:80"), "no answer");
        town.service(spec("10.250.0.0/24"));
        town.until("the client may", || {
            town.client.tcp_soon("192.0.2.2:80").starts_with("a ")
        });
    });
}

#[test]
fn udp_goes_on_to_who_is_there_when_its_endpoint_has_gone() {
    for_each_mode(|town| {
        town.serve(&[A], json!({}));
        let asker = town.client.udp(VIP);
        town.until("a answers", || asker.ask().starts_with("a "));
        town.ends(&[B]);
        // From the same port: the kernel knows this flow.
        town.until("b answers", || asker.ask().starts_with("b "));
        assert!(town.figure("kubeproxy_conntrack_reconciler_deleted_entries_total") >= 1.0);
    });
}

#[test]
fn node_ports_are_served_at_the_addresses_that_are_wished() {
    for mode in MODES {
        let mut wish = wish();
        wish.node_ports = NodePorts::read(&["10.250.0.0/16".to_owned()]).unwrap();
        let Some(town) = Town::with(mode, wish) else {
            return;
        };
        town.serve(&[A], json!({"spec": {"type": "NodePort", "ports": [{"name": "t", "port": 80, "nodePort": 30080}]}}));
        let node_port = format!("{NODE}:30080");
        town.until("it is served", || {
            town.client.tcp_soon(&node_port).starts_with("a ")
        });
        assert_eq!(
            town.client.tcp_soon("10.244.1.1:30080"),
            "refused",
            "another address of the node"
        );
    }
}

#[test]
fn chains_of_iptables_that_somebody_changed_are_written_again() {
    let Some(town) = Town::new(Mode::Iptables) else {
        return;
    };
    town.serve(&[A, B], json!({}));
    let served = || answers(|| town.client.tcp_soon(VIP)) == set(&["a", "b"]);
    town.until("it is served", served);
    for (count, rule) in [
        &["-t", "nat", "-F", "PREROUTING"][..],
        &["-t", "nat", "-F", "KUBE-SERVICES"],
        &["-t", "nat", "-F"],
        &["-t", "filter", "-F", "KUBE-FORWARD"],
    ]
    .into_iter()
    .enumerate()
    {
        town.run("iptables", rule);
        town.until("it is found", || {
            town.figure("kubeproxy_rules_repairs_total") > count as f64
        });
        town.until("it is served again", served);
    }
}

#[test]
fn rules_of_one_mode_are_taken_away_and_others_stay() {
    for mode in MODES {
        let Some(town) = Town::new(mode) else {
            return;
        };
        town.run(
            "iptables",
            &["-A", "INPUT", "-s", "192.0.2.77", "-j", "ACCEPT"],
        );
        town.serve(&[A, B], json!({"spec": {"sessionAffinity": "ClientIP"}}));
        town.until("it is served", || town.client.tcp_soon(VIP).len() > 9);
        // The process ends: its rules stay.
        town.board.stop();
        assert!(town.client.tcp(VIP).len() > 9);
        town.node.within(|| proxy::cleanup().unwrap());
        town.node.within(|| proxy::cleanup().unwrap());
        let left = town.rules();
        assert!(
            !left.contains("KUBE-") && !left.contains("kube-proxy"),
            "{left}"
        );
        assert!(left.contains("192.0.2.77"), "{left}");
    }
}

#[test]
fn endpoints_may_have_different_ports() {
    for_each_mode(|town| {
        town.service(json!({}));
        for (number, (ip, _)) in [(1, A), (2, B)] {
            let object = json!({
                "metadata": {"namespace": "a", "name": format!("web-{number}"),
                             "labels": {"kubernetes.io/service-name": "web"}},
                "addressType": "IPv4", "endpoints": [{"addresses": [ip]}],
                "ports": [{"name": "t", "port": 8079 + number}],
            });
            town.board
                .put_slice(&serde_json::from_value(object).unwrap());
        }
        town.pods[1].answer("b", 8081);
        town.until("both answer", || {
            answers(|| town.client.tcp_soon(VIP)) == set(&["a", "b"])
        });
    });
}

#[test]
fn rules_that_somebody_changed_are_written_again() {
    let wreckings: [(&str, &[&str]); 4] = [
        ("nft", &["flush", "ruleset"]),
        (
            "nft",
            &["flush", "chain", "ip", "kube-proxy", "nat-prerouting"],
        ),
        (
            "nft",
            &[
                "delete",
                "element",
                "ip",
                "kube-proxy",
                "service-ips",
                "{ 10.96.0.1 . tcp . 80 }",
            ],
        ),
        ("nft", &["flush", "map", "ip", "kube-proxy", "endpoints-0"]),
    ];
    let Some(town) = Town::new(Mode::Nftables) else {
        return;
    };
    town.serve(&[A, B], json!({}));
    let served = || answers(|| town.client.tcp_soon(VIP)) == set(&["a", "b"]);
    town.until("it is served", served);
    for (count, (program, arguments)) in wreckings.into_iter().enumerate() {
        town.run(program, arguments);
        town.until("it is found", || {
            town.figure("kubeproxy_rules_repairs_total") > count as f64
        });
        town.until("it is served again", served);
    }
    assert!(town.health.is_healthy(std::time::Instant::now()));
}
