//! What is written for a service: each case begins with what the case before it left.

use serde_json::json;

use super::base::Base;
use super::fragment::{Fragment, Surroundings};
use super::table::Table;
use super::transaction::Transaction;
use super::verify::{Found, differences};
use crate::local::Local;
use crate::samples::plans;

fn base() -> Base {
    Base {
        mark: 0x4000,
        masquerade_all: false,
        node_ports: None,
        around: Surroundings {
            local: Local::Range("10.244.0.0/16".parse().expect("a range")),
            node: Some("172.16.0.1".parse().expect("an address")),
        },
    }
}

/// The text without what all lines have.
fn short(tx: &Transaction) -> String {
    tx.text().replace("ip kube-proxy ", "")
}

#[test]
fn only_what_changes_is_written() {
    let mut table = Table::new(base());
    let cluster = json!({});
    let sticky = json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}});
    let local = json!({
        "type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30080}], "externalTrafficPolicy": "Local",
        "ingress": [{"ip": "192.0.2.2"}], "loadBalancerSourceRanges": ["172.16.0.0/24"],
    });
    let cases = [
        (
            "nobody answers",
            plans(&cluster, &[]),
            "\
add element cluster-ips { 10.96.0.1 }
add element no-endpoint-services { 10.96.0.1 . tcp . 80 : goto reject-chain }
",
        ),
        (
            "one does",
            plans(&cluster, &["10.1.0.1"]),
            "\
add chain service-NLTBNPKM-a/web/tcp/
delete element no-endpoint-services { 10.96.0.1 . tcp . 80 }
add rule service-NLTBNPKM-a/web/tcp/ meta l4proto tcp dnat to 10.1.0.1:8080
add element service-ips { 10.96.0.1 . tcp . 80 : goto service-NLTBNPKM-a/web/tcp/ }
",
        ),
        (
            "another, on this node",
            plans(&cluster, &["10.1.0.1", "10.1.0.2 here"]),
            "\
flush chain service-NLTBNPKM-a/web/tcp/
add map endpoints-0 { typeof numgen random mod 2 : ip daddr ; }
add element endpoints-0 { 0 : 10.1.0.1, 1 : 10.1.0.2 }
add rule service-NLTBNPKM-a/web/tcp/ meta l4proto tcp dnat to numgen random mod 2 offset 0 map @endpoints-0:8080 comment \"10.1.0.1 10.1.0.2\"
add element hairpin-connections { 10.1.0.2 . 10.1.0.2 . tcp . 8080 }
",
        ),
        ("the same again", plans(&cluster, &["10.1.0.2 here", "10.1.0.1"]), ""),
        (
            "clients keep their endpoint",
            plans(&sticky, &["10.1.0.1"]),
            "\
add chain endpoint-EUC6T4QE-a/web/tcp/__10.1.0.1/8080
delete element hairpin-connections { 10.1.0.2 . 10.1.0.2 . tcp . 8080 }
flush chain service-NLTBNPKM-a/web/tcp/
delete element endpoints-0 { 0, 1 }
add set affinity-EUC6T4QE-a/web/tcp/__10.1.0.1/8080 { type ipv4_addr ; flags dynamic,timeout ; timeout 60s ; }
add rule endpoint-EUC6T4QE-a/web/tcp/__10.1.0.1/8080 update @affinity-EUC6T4QE-a/web/tcp/__10.1.0.1/8080 { ip saddr }
add rule endpoint-EUC6T4QE-a/web/tcp/__10.1.0.1/8080 meta l4proto tcp dnat to 10.1.0.1:8080
add rule service-NLTBNPKM-a/web/tcp/ ip saddr @affinity-EUC6T4QE-a/web/tcp/__10.1.0.1/8080 goto endpoint-EUC6T4QE-a/web/tcp/__10.1.0.1/8080
add rule service-NLTBNPKM-a/web/tcp/ goto endpoint-EUC6T4QE-a/web/tcp/__10.1.0.1/8080
",
        ),
        (
            "reached from outside, on this node only",
            plans(&local, &["10.1.0.1"]),
            "\
add chain external-NLTBNPKM-a/web/tcp/
add chain firewall-NLTBNPKM-a/web/tcp/
flush chain endpoint-EUC6T4QE-a/web/tcp/__10.1.0.1/8080
flush chain service-NLTBNPKM-a/web/tcp/
delete set affinity-EUC6T4QE-a/web/tcp/__10.1.0.1/8080
add rule external-NLTBNPKM-a/web/tcp/ ip saddr 10.244.0.0/16 goto service-NLTBNPKM-a/web/tcp/ comment \"short-circuit pod traffic\"
add rule external-NLTBNPKM-a/web/tcp/ fib saddr type local mark set mark or 0x00004000 comment \"masquerade local traffic\"
add rule external-NLTBNPKM-a/web/tcp/ fib saddr type local goto service-NLTBNPKM-a/web/tcp/ comment \"short-circuit local traffic\"
add rule firewall-NLTBNPKM-a/web/tcp/ ip saddr != { 172.16.0.0/24, 192.0.2.2 } drop
add rule service-NLTBNPKM-a/web/tcp/ meta l4proto tcp dnat to 10.1.0.1:8080
add element service-ips { 192.0.2.2 . tcp . 80 : goto external-NLTBNPKM-a/web/tcp/ }
add element service-nodeports { tcp . 30080 : goto external-NLTBNPKM-a/web/tcp/ }
add element no-endpoint-services { 192.0.2.2 . tcp . 80 : drop }
add element no-endpoint-nodeports { tcp . 30080 : drop }
add element firewall-ips { 192.0.2.2 . tcp . 80 : goto firewall-NLTBNPKM-a/web/tcp/ }
",
        ),
    ];
    for (what, (key, plans), expected) in cases {
        let mut tx = Transaction::default();
        let fragment = Fragment::new(&plans, &table.base().around);
        table.update(&key, fragment, &mut tx);
        let told = short(&tx);
        assert_eq!(told, expected, "{what}:\n{told}");
    }
    let mut tx = Transaction::default();
    table.delete_stale(&mut tx);
    assert_eq!(
        short(&tx),
        "delete chain endpoint-EUC6T4QE-a/web/tcp/__10.1.0.1/8080\n"
    );
}

#[test]
fn who_wants_the_same_address_waits_until_the_first_is_gone() {
    let mut table = Table::new(base());
    let spec = json!({"externalIPs": ["192.0.2.1"]});
    let (key, plans) = plans(&spec, &[]);
    let other = mainstay_client::Key::new("b", "web");
    let write = |key: &mainstay_client::Key, plans: &[crate::model::Plan], table: &mut Table| {
        let mut tx = Transaction::default();
        let fragment = Fragment::new(plans, &table.base().around);
        table.update(key, fragment, &mut tx);
        tx.text().lines().count()
    };
    assert_eq!(write(&key, &plans, &mut table), 3);
    assert_eq!(write(&other, &plans, &mut table), 0);
    assert_eq!(write(&key, &[], &mut table), 0, "the other has them now");
    assert_eq!(write(&other, &[], &mut table), 3);
}

#[test]
fn a_table_that_was_left_is_taken_over_with_what_it_remembers() {
    let sticky = json!({"sessionAffinity": "ClientIP"});
    let (key, plans) = plans(&sticky, &["10.1.0.1"]);
    let mut found = Found::default();
    found.chains.insert("service-OLD-x/y/tcp/".to_owned(), 1);
    let kept = "affinity-EUC6T4QE-a/web/tcp/__10.1.0.1/8080";
    found.sets.insert(kept.to_owned(), 10_800);
    found.sets.insert("affinity-OLD-x".to_owned(), 10_800);
    found.sets.insert("endpoints-7".to_owned(), 0);
    let mut table = Table::new(base());
    let fragment = Fragment::new(&plans, &table.base().around);
    table.note(&key, fragment);
    let mut tx = Transaction::default();
    table.rewrite(base(), &found, &mut tx);
    let text = short(&tx);
    for line in [
        "flush chain service-OLD-x/y/tcp/\n",
        "delete set affinity-OLD-x\n",
        "delete map endpoints-7\n",
        "flush map service-ips\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(!text.contains(&format!("delete set {kept}")), "{text}");
    assert!(table.has_stale());
    assert!(differences(&table.expected(), &table.expected()).is_empty());
}
