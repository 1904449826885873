//! How long it takes to write rules, and what it costs, with few services and with many.
//!
//! Makes a network namespace for itself (root needed) and prints a table. Arguments: numbers of services, and
//! `iptables` for that mode; by default nftables with 10, 1,000 and 10,000 services of three endpoints each.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for people that ends with what it did not expect"
)]

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use proxy::model::State;
use proxy::{DetectLocal, Local, Mode, NodePorts, Rules, Wish};
use serde_json::json;

/// Changes that are timed with each number of services.
const CHANGES: u32 = 50;
const INSIDE: &str = "MAINSTAY_INSIDE";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if std::env::var_os(INSIDE).is_none() {
        let own = std::env::current_exe().unwrap();
        let mut inside = Command::new("unshare");
        inside.args(["--net", "--"]).arg(own).args(&arguments);
        panic!("{}", inside.env(INSIDE, "yes").exec());
    }
    let mode = match arguments.iter().any(|argument| argument == "iptables") {
        true => Mode::Iptables,
        false => Mode::Nftables,
    };
    let mut numbers: Vec<u32> = arguments
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect();
    if numbers.is_empty() {
        numbers = vec![10, 1_000, 10_000];
    }
    println!(
        "{mode:?}; all: everything once; change: one service's endpoints; of {CHANGES}: p50, p99; CPU with children"
    );
    println!("services        all   change p50   change p99   CPU/change   verify");
    for number in numbers {
        measure(mode, number);
        proxy::cleanup().unwrap();
    }
}

fn wish() -> Wish {
    Wish {
        mark: 0x4000,
        masquerade_all: false,
        local: DetectLocal::Fixed(Local::Range("10.0.0.0/8".parse().unwrap())),
        node_ports: NodePorts::Everywhere,
    }
}

fn measure(mode: Mode, number: u32) {
    let mut state = State::new("n1");
    for service in 0..number {
        put_service(&mut state, service);
        put_ends(&mut state, service, 0);
    }
    let mut rules = mode.rules(&wish());
    let start = Instant::now();
    let setting = wish().initial();
    rules.rewrite(&setting, &state.take_all().services).unwrap();
    let all = start.elapsed();

    let (before, mut took) = (cpu(), Vec::new());
    for change in 1..=CHANGES {
        put_ends(&mut state, change * 7919 % number, change);
        took.push(update(&mut state, rules.as_mut()));
    }
    let cpu = (cpu() - before) / f64::from(CHANGES) * 1_000.0;
    took.sort();
    let start = Instant::now();
    let found = rules.verify().unwrap();
    assert!(found.is_empty(), "{found:?}");
    let (p50, p99) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "{number:>8} {all:>10.1?} {p50:>12.1?} {p99:>12.1?} {cpu:>9.1} ms {:>8.1?}",
        start.elapsed()
    );
}

fn update(state: &mut State, rules: &mut dyn Rules) -> Duration {
    let start = Instant::now();
    rules.update(&state.take().services).unwrap();
    start.elapsed()
}

fn put_service(state: &mut State, number: u32) {
    let (high, low) = (number / 250, number % 250 + 1);
    let object = json!({
        "metadata": {"namespace": "bench", "name": format!("s{number}")},
        "spec": {"clusterIP": format!("10.96.{high}.{low}"), "ports": [{"name": "http", "port": 80}]},
    });
    state.put_service(&serde_json::from_value(object).unwrap());
}

fn put_ends(state: &mut State, number: u32, change: u32) {
    let (high, low) = (number / 250, number % 250 + 1);
    let ends = (0..3).map(|end| {
        let second = 10 + end * 50 + change % 50;
        json!({"addresses": [format!("10.{second}.{high}.{low}")], "nodeName": "n2"})
    });
    let object = json!({
        "metadata": {"namespace": "bench", "name": format!("s{number}-1"),
                     "labels": {"kubernetes.io/service-name": format!("s{number}")}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}],
        "endpoints": ends.collect::<Vec<_>>(),
    });
    state.put_slice(&serde_json::from_value(object).unwrap());
}

/// Seconds of this process and of those it has waited for.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit_once(')').unwrap().1;
    let ticks = after.split_whitespace().skip(11).take(4);
    ticks
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum::<f64>()
        / 100.0
}
