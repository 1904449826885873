//! Partitions and loss act on packets, one direction at a time, and are undone.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what tests share fails and prints like the tests"
)]

mod support;

use mainstay_faults::net::{Loss, Rules};
use mainstay_faults::{Blocked, Need, Network, Party, Run, party};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;
use support::able;

const NEEDS: &[Need] = &[Need::Namespaces, Need::PacketFilter];

/// Sockets of member `index`, made on a thread that enters its namespace and ends there.
fn socket(network: &Network, index: usize) -> UdpSocket {
    let ip = network.address(Party::Member(index));
    network
        .namespace(index)
        .run(move || UdpSocket::bind((ip, 0)))
        .unwrap()
        .unwrap()
}

/// How many of `count` datagrams arrive.
fn arriving(from: &UdpSocket, to: &UdpSocket, count: usize) -> usize {
    let address: SocketAddr = to.local_addr().unwrap();
    to.set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        scope
            .spawn(move || {
                let mut buffer = [0; 8];
                // The last datagrams are behind us when nothing came for a while after the last one was sent.
                let mut arrived = 0;
                let mut sent_all = false;
                loop {
                    match to.recv(&mut buffer) {
                        Ok(_) => arrived += 1,
                        Err(_) if sent_all => return arrived,
                        Err(_) => sent_all = receiver.try_recv().is_ok(),
                    }
                }
            })
            .join_after(|| {
                for n in 0..count {
                    // An own rule that drops what leaves shows as an error.
                    let _ = from.send_to(&n.to_be_bytes(), address);
                    if n % 50 == 49 {
                        std::thread::yield_now();
                    }
                }
                sender.send(()).unwrap();
            })
    })
}

trait JoinAfter<T> {
    fn join_after(self, work: impl FnOnce()) -> T;
}

impl<T> JoinAfter<T> for std::thread::ScopedJoinHandle<'_, T> {
    fn join_after(self, work: impl FnOnce()) -> T {
        work();
        self.join().unwrap()
    }
}

#[test]
fn a_blocked_direction_blocks_that_direction_only() {
    if !able(NEEDS) {
        return;
    }
    let run = Run::claim().unwrap();
    let network = Network::create(&run, 3).unwrap();
    let sockets: Vec<UdpSocket> = (0..3).map(|m| socket(&network, m)).collect();
    assert_eq!(arriving(&sockets[0], &sockets[1], 100), 100);

    let before = network.drops().unwrap();
    network
        .apply(&Rules::partition([Blocked::members(0, 1)]))
        .unwrap();
    assert_eq!(arriving(&sockets[0], &sockets[1], 100), 0);
    assert_eq!(arriving(&sockets[1], &sockets[0], 100), 100);
    assert_eq!(arriving(&sockets[0], &sockets[2], 100), 100);
    let drops = network.drops().unwrap().since(&before);
    assert_eq!(drops.blocked.get(&Blocked::members(0, 1)), Some(&100));
    assert_eq!(drops.total(), 100);
    println!("{}", drops.proof());

    network.heal().unwrap();
    assert_eq!(arriving(&sockets[0], &sockets[1], 100), 100);
}

#[test]
fn a_bridge_and_clients_are_partitioned_as_drawn() {
    if !able(NEEDS) {
        return;
    }
    let run = Run::claim().unwrap();
    let network = Network::create(&run, 5).unwrap();
    let sockets: Vec<UdpSocket> = (0..5).map(|m| socket(&network, m)).collect();
    let client = UdpSocket::bind((network.address(Party::Clients), 0)).unwrap();
    let mut blocked = party::bridge(&[0, 1, 2, 3, 4], 2);
    blocked.push(Blocked {
        from: Party::Member(0),
        to: Party::Clients,
    });
    network.apply(&Rules::partition(blocked.clone())).unwrap();
    for from in 0..5 {
        for to in (0..5).filter(|to| *to != from) {
            let expected = if blocked.contains(&Blocked::members(from, to)) {
                0
            } else {
                3
            };
            assert_eq!(
                arriving(&sockets[from], &sockets[to], 3),
                expected,
                "{from} to {to}"
            );
        }
    }
    assert_eq!(arriving(&sockets[0], &client, 10), 0);
    assert_eq!(arriving(&client, &sockets[0], 10), 10);
    assert_eq!(arriving(&sockets[1], &client, 10), 10);
}

#[test]
fn loss_loses_about_its_share() {
    if !able(NEEDS) {
        return;
    }
    let run = Run::claim().unwrap();
    let network = Network::create(&run, 2).unwrap();
    let (a, b) = (socket(&network, 0), socket(&network, 1));
    let loss = vec![Loss {
        link: Blocked::members(0, 1),
        basis_points: 3_000,
    }];
    network
        .apply(&Rules {
            loss,
            ..Rules::default()
        })
        .unwrap();
    let arrived = arriving(&a, &b, 200) + arriving(&a, &b, 200) + arriving(&a, &b, 200);
    let drops = network.drops().unwrap();
    println!(
        "{arrived} of 600 arrived under 30 % loss; {}",
        drops.proof()
    );
    assert!((330..=510).contains(&arrived), "{arrived}");
    assert_eq!(drops.lost.values().sum::<u64>() as usize, 600 - arrived);
    assert_eq!(arriving(&b, &a, 100), 100);
}

/// The half of [`leftovers_of_killed_runs_are_removed`] that is killed.
#[test]
#[ignore = "only run by leftovers_of_killed_runs_are_removed, in a process of its own"]
fn makes_a_network_and_waits_to_be_killed() {
    let run = Run::claim().unwrap();
    let _network = Network::create(&run, 2).unwrap();
    std::fs::write(std::env::var_os("MADE").unwrap(), run.prefix()).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn leftovers_of_killed_runs_are_removed() {
    if !able(NEEDS) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "makes_a_network_and_waits_to_be_killed",
        ])
        .env("MADE", &made)
        .spawn()
        .unwrap();
    support::wait("the child made its network", || {
        std::fs::read_to_string(&made).is_ok_and(|p| p.ends_with('-'))
    });
    let prefix = std::fs::read_to_string(&made).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let namespace = Path::new("/run/netns").join(format!("{prefix}m0"));
    let link = Path::new("/sys/class/net").join(format!("{prefix}br"));
    assert!(link.exists(), "nothing was left; the test shows nothing");
    let inode = |path: &Path| std::fs::metadata(path).map(|m| m.ino()).ok();
    let left = inode(&namespace).unwrap();
    // Another test may claim the slot at once, and make a namespace of the same name: not this one.
    let _run = Run::claim().unwrap();
    assert_ne!(inode(&namespace), Some(left));
}
