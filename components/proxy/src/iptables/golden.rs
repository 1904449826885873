//! What is written for a service: each case begins with what the case before it left.

use serde_json::json;

use super::base::Base;
use super::fragment::{Fragment, Surroundings};
use super::saved::Saved;
use super::table::{Changes, Table};
use crate::local::Local;
use crate::samples::plans;

fn table() -> Table {
    Table::new(Base {
        mark: 0x4000,
        node_ports: None,
        around: Surroundings {
            local: Local::Range("10.244.0.0/16".parse().expect("a range")),
            masquerade_all: false,
            node: None,
        },
    })
}

#[test]
fn only_what_changes_is_written() {
    let mut table = table();
    let cluster = json!({});
    let cases = [
        (
            "two answer",
            plans(&cluster, &["10.1.0.1", "10.1.0.2"]),
            "\
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SEP-2S6IJTO3PI64C2WQ - [0:0]
:KUBE-SEP-G72J7VGTHGC4ZOH7 - [0:0]
:KUBE-SVC-2EPUHLCMN3CCIQBY - [0:0]
-A KUBE-SERVICES -m comment --comment \"a/web cluster IP\" -m tcp -p tcp -d 10.96.0.1 --dport 80 -j KUBE-SVC-2EPUHLCMN3CCIQBY
-A KUBE-SERVICES -m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\" -m addrtype --dst-type LOCAL ! -d 127.0.0.0/8 -j KUBE-NODEPORTS
-A KUBE-SEP-2S6IJTO3PI64C2WQ -m comment --comment \"a/web\" -s 10.1.0.1 -j KUBE-MARK-MASQ
-A KUBE-SEP-2S6IJTO3PI64C2WQ -m comment --comment \"a/web\" -m tcp -p tcp -j DNAT --to-destination 10.1.0.1:8080
-A KUBE-SEP-G72J7VGTHGC4ZOH7 -m comment --comment \"a/web\" -s 10.1.0.2 -j KUBE-MARK-MASQ
-A KUBE-SEP-G72J7VGTHGC4ZOH7 -m comment --comment \"a/web\" -m tcp -p tcp -j DNAT --to-destination 10.1.0.2:8080
-A KUBE-SVC-2EPUHLCMN3CCIQBY -m comment --comment \"a/web cluster IP\" -m tcp -p tcp -d 10.96.0.1 --dport 80 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SVC-2EPUHLCMN3CCIQBY -m comment --comment \"a/web -> 10.1.0.1:8080\" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-2S6IJTO3PI64C2WQ
-A KUBE-SVC-2EPUHLCMN3CCIQBY -m comment --comment \"a/web -> 10.1.0.2:8080\" -j KUBE-SEP-G72J7VGTHGC4ZOH7
COMMIT
",
        ),
        ("the same again", plans(&cluster, &["10.1.0.2", "10.1.0.1"]), ""),
        (
            "one is gone",
            plans(&cluster, &["10.1.0.1"]),
            "\
*nat
:KUBE-SVC-2EPUHLCMN3CCIQBY - [0:0]
:KUBE-SEP-G72J7VGTHGC4ZOH7 - [0:0]
-A KUBE-SVC-2EPUHLCMN3CCIQBY -m comment --comment \"a/web cluster IP\" -m tcp -p tcp -d 10.96.0.1 --dport 80 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SVC-2EPUHLCMN3CCIQBY -m comment --comment \"a/web -> 10.1.0.1:8080\" -j KUBE-SEP-2S6IJTO3PI64C2WQ
-X KUBE-SEP-G72J7VGTHGC4ZOH7
COMMIT
",
        ),
    ];
    for (what, (key, plans), expected) in cases {
        let mut changes = Changes::default();
        let fragment = Fragment::new(&plans, &table.base().around);
        table.update(&key, fragment, &mut changes);
        let told = table.text(&changes);
        assert_eq!(told, expected, "{what}:\n{told}");
    }
}

#[test]
fn what_is_missing_is_told() {
    let (key, plans) = plans(&json!({}), &["10.1.0.1"]);
    let mut table = table();
    let fragment = Fragment::new(&plans, &table.base().around);
    table.update(&key, fragment, &mut Changes::default());
    let text = table.text(&table.everything(&Saved::default()));
    let told = table.expected().differences(&Saved::read(&text));
    // All chains are as they should be; nothing jumps to them yet.
    assert_eq!(
        told.first().map(String::as_str),
        Some("filter INPUT does not jump to KUBE-EXTERNAL-SERVICES")
    );
    let text = text.replace("-A KUBE-MARK-MASQ", "-A OTHER");
    let told = table.expected().differences(&Saved::read(&text));
    assert_eq!(told[0], "nat KUBE-MARK-MASQ has 0 rules, not 1");
    let old = Saved::read("*nat\n:KUBE-SVC-OLD - [0:0]\n:OTHER - [0:0]\nCOMMIT\n");
    let text = table.text(&table.everything(&old));
    assert!(text.contains("-X KUBE-SVC-OLD\n") && !text.contains("OTHER"));
}
