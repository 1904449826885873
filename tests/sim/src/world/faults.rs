//! Faults: what may go wrong, and when it is over.

use std::io::ErrorKind;

use mainstay_wal::disk::{Crash, OpKind};

use super::course::World;
use crate::limits::RESTART_PAUSE_MAX_US;
use crate::trace::say;

type Link = (usize, usize);

/// What is done later.
#[derive(Clone, Debug)]
pub(super) enum Later {
    Mend(Vec<Link>),
    /// Cuts the links again, for so many more times.
    Flap(Vec<Link>, u64),
    PowerOff(usize),
    Rate(usize),
    Faster(usize),
    Room(usize),
}

/// What happens when.
#[derive(Debug, Default)]
pub(super) struct Faults {
    next_at: u64,
    pub(super) later: Vec<(u64, Later)>,
}

impl World {
    fn both_ways(side: &[usize], other: &[usize]) -> Vec<Link> {
        let pairs = side.iter().flat_map(|a| other.iter().map(|b| (*a, *b)));
        pairs.flat_map(|(a, b)| [(a, b), (b, a)]).collect()
    }

    pub(super) fn leader_host(&self) -> Option<usize> {
        let leading = self.hosts.iter().filter_map(|host| {
            let look = host.node()?.look();
            let leads = look.vote.granted && look.vote.node == host.id;
            leads.then_some((look.vote, host.index))
        });
        leading.max().map(|(_, host)| host)
    }

    /// A host that something is done to: often the leader.
    fn victim(&mut self) -> usize {
        match self.leader_host() {
            Some(leader) if self.rng.one_in(2) => leader,
            _ => self.rng.index(self.hosts.len()),
        }
    }

    /// Does what is due and, in the time for it, starts another fault.
    pub(super) fn faults(&mut self, start_more: bool) {
        let (due, later) = std::mem::take(&mut self.faults.later)
            .into_iter()
            .partition(|(at, _)| *at <= self.now);
        self.faults.later = later;
        let due: Vec<(u64, Later)> = due;
        for (_, what) in due {
            self.later(what);
        }
        if start_more && self.faults.next_at <= self.now {
            let pause = self.rng.range(50_000, self.params.fault_pause_us);
            self.faults.next_at = self.now + pause;
            self.fault();
        }
    }

    fn after(&mut self, least_us: u64, most_us: u64, what: Later) {
        let at = self.now + self.rng.range(least_us, most_us);
        self.faults.later.push((at, what));
    }

    fn later(&mut self, what: Later) {
        match what {
            Later::Mend(links) => {
                say!(self.trace, "links are back: {links:?}");
                self.net.mend(&links);
            }
            Later::Flap(links, times) => {
                self.net.cut(&links);
                self.after(50_000, 400_000, Later::Mend(links.clone()));
                if times > 0 {
                    self.after(450_000, 900_000, Later::Flap(links, times - 1));
                }
            }
            Later::PowerOff(host) => self.kill(host, Crash::Power),
            Later::Rate(host) => self.hosts[host].rate = 1.0,
            Later::Faster(host) => self.hosts[host].sync_us = self.params.sync_us,
            Later::Room(host) => self.hosts[host].disk.set_capacity(None),
        }
    }

    /// Everything works again.
    pub(super) fn heal(&mut self) {
        self.faults.later.clear();
        let all: Vec<usize> = (0..self.hosts.len()).collect();
        self.net.mend(&Self::both_ways(&all, &all));
        for host in &mut self.hosts {
            host.rate = 1.0;
            host.sync_us = self.params.sync_us;
            host.stalled_until = 0;
            host.disk.set_capacity(None);
            host.disk.clear_faults();
            if host.paused_until.is_some() {
                host.paused_until = Some(0);
            }
        }
    }

    fn fault(&mut self) {
        match self.rng.below(100) {
            0..28 => self.partition(),
            28..38 => {
                let host = self.victim();
                self.kill(host, Crash::Process);
            }
            38..50 => self.power_cut(),
            50..53 => self.power_cut_all(),
            53..65 => self.pause(),
            65..70 => self.break_connections(),
            70..76 => self.slow_disk(),
            76..80 => self.move_leader(),
            80..85 if self.params.clocks_drift => {
                let host = self.victim();
                let rate = self.rng.pick(&[0.8, 0.9, 1.1, 1.25]);
                self.hosts[host].rate = rate;
                say!(self.trace, "m{host}'s clock runs at {rate}");
                self.counts.one("clocks_off");
                self.after(1_000_000, 10_000_000, Later::Rate(host));
            }
            85..94 if self.params.disk_faults => self.disk_fault(),
            94..100 if self.params.membership => self.change_members(),
            _ => {}
        }
    }

    fn partition(&mut self) {
        let all: Vec<usize> = (0..self.hosts.len()).collect();
        if all.len() < 2 {
            return;
        }
        let one = self.victim();
        let others: Vec<usize> = all.iter().copied().filter(|h| *h != one).collect();
        let (name, links) = match self.rng.below(5) {
            0 => {
                let mut side = all.clone();
                for at in (1..side.len()).rev() {
                    side.swap(at, self.rng.index(at + 1));
                }
                let other = side.split_off(side.len() / 2);
                ("halves", Self::both_ways(&side, &other))
            }
            1 => ("isolated", Self::both_ways(&[one], &others)),
            2 => {
                let links: Vec<Link> = others.iter().map(|other| (one, *other)).collect();
                let inwards = self.rng.one_in(2);
                let turn = |(a, b): (usize, usize)| if inwards { (b, a) } else { (a, b) };
                ("one_way", links.into_iter().map(turn).collect())
            }
            3 => {
                // One host reaches both sides, which do not reach each other.
                let (left, right) = others.split_at(others.len() / 2);
                ("bridge", Self::both_ways(left, right))
            }
            _ => {
                let links = Self::both_ways(&[one], &others);
                say!(self.trace, "m{one} flaps");
                self.counts.one("partition_flapping");
                let times = self.rng.range(2, 8);
                return self.later(Later::Flap(links, times));
            }
        };
        if links.is_empty() {
            return;
        }
        say!(self.trace, "partition ({name}): {links:?} cut");
        self.counts.one(match name {
            "halves" => "partition_halves",
            "isolated" => "partition_isolated",
            "one_way" => "partition_one_way",
            _ => "partition_bridge",
        });
        self.net.cut(&links);
        self.after(100_000, 6_000_000, Later::Mend(links));
    }

    /// Ends a process or machine; a supervisor starts it again.
    pub(super) fn kill(&mut self, host: usize, how: Crash) {
        if !self.hosts[host].is_running() {
            return;
        }
        say!(self.trace, "m{host} goes down: {how:?}");
        self.counts.one(match how {
            Crash::Process => "process_kills",
            _ => "power_cuts",
        });
        self.hosts[host].kill(how);
        // A crash ends what was still to fail; a full disk stays full.
        let full = |later: &(u64, Later)| matches!(later.1, Later::Room(h) if h == host);
        self.excused[host] = self.rotten == Some(host) || self.faults.later.iter().any(full);
        let pause = self.rng.range(1_000, RESTART_PAUSE_MAX_US);
        self.restart_at[host] = self.now + pause;
    }

    fn power_cut(&mut self) {
        let host = self.victim();
        if !self.hosts[host].is_running() {
            return;
        }
        if self.rng.one_in(2) {
            return self.kill(host, Crash::Power);
        }
        // In the middle of what the disk is doing.
        let disk = &self.hosts[host].disk;
        disk.freeze_at(disk.operations() + self.rng.below(8));
        self.excused[host] = true;
        self.counts.one("power_cuts_amid_writes");
        self.after(1_000, 30_000, Later::PowerOff(host));
    }

    fn power_cut_all(&mut self) {
        say!(self.trace, "power is lost everywhere");
        self.counts.one("power_cuts_of_all");
        let how = self.rng.pick(&[Crash::Power, Crash::PowerNothingKept]);
        for host in 0..self.hosts.len() {
            self.kill(host, how);
        }
    }

    fn pause(&mut self) {
        let host = self.victim();
        if !self.hosts[host].is_running() || self.hosts[host].paused_until.is_some() {
            return;
        }
        let counts = self.rng.one_in(2);
        let length = self.rng.range(50_000, 5_000_000);
        say!(
            self.trace,
            "m{host} stands still for {} ms, its clock {}",
            length / 1000,
            if counts { "goes on" } else { "does, too" }
        );
        self.counts.one(if counts { "pauses" } else { "freezes" });
        self.hosts[host].paused_until = Some(self.now + length);
        self.hosts[host].pause_counts = counts;
    }

    fn break_connections(&mut self) {
        let (a, b) = (self.rng.index(self.hosts.len()), self.victim());
        let broken = self.net.break_connections(a, b);
        say!(self.trace, "{broken} connections of m{a} and m{b} break");
        self.counts.add("connections_broken", broken as u64);
    }

    fn slow_disk(&mut self) {
        let host = self.victim();
        if self.rng.one_in(2) {
            let length = self.rng.range(100_000, 5_000_000);
            say!(self.trace, "m{host}'s disk stalls for {} ms", length / 1000);
            self.counts.one("disk_stalls");
            self.hosts[host].stalled_until = self.now + length;
        } else {
            self.hosts[host].sync_us = self.rng.range(20_000, 400_000);
            say!(self.trace, "m{host}'s disk is slow");
            self.counts.one("disk_slow");
            self.after(500_000, 5_000_000, Later::Faster(host));
        }
    }

    fn disk_fault(&mut self) {
        let host = self.victim();
        match self.rng.below(3) {
            0 => {
                let kind = self.rng.pick(&[
                    OpKind::Write,
                    OpKind::Sync,
                    OpKind::Sync,
                    OpKind::Create,
                    OpKind::Rename,
                    OpKind::SyncDir,
                ]);
                let after = self.rng.below(20);
                say!(self.trace, "m{host}'s disk will fail a {kind:?}");
                self.counts.one("disk_errors");
                self.excused[host] = true;
                self.hosts[host].disk.fail(kind, after, ErrorKind::Other);
            }
            1 => {
                let disk = &self.hosts[host].disk;
                let used: usize = disk
                    .files()
                    .iter()
                    .filter_map(|path| disk.content(path))
                    .map(|content| content.len())
                    .sum();
                let room = self.rng.below(2 * self.params.segment_bytes);
                disk.set_capacity(Some(used as u64 + room));
                say!(self.trace, "m{host}'s disk has {room} bytes left");
                self.counts.one("disks_full");
                self.excused[host] = true;
                self.after(500_000, 8_000_000, Later::Room(host));
            }
            _ => self.rot(host),
        }
    }

    /// Bytes change on the disk of a member that is down. At most one member of a run.
    fn rot(&mut self, host: usize) {
        let other = self.rotten.is_some_and(|rotten| rotten != host);
        if self.params.members < 3 || other || self.params.membership {
            return;
        }
        self.kill(host, Crash::Process);
        let disk = self.hosts[host].disk.clone();
        let files: Vec<_> = disk
            .files()
            .into_iter()
            .filter(|path| path.extension().is_some_and(|e| e == "wal" || e == "dump"))
            .collect();
        if files.is_empty() || self.hosts[host].is_running() {
            return;
        }
        let file = files[self.rng.index(files.len())].clone();
        let (at, bit) = (self.rng.next(), self.rng.below(8));
        let changed = disk.damage(&file, |content| {
            let used = content.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
            if let Some(byte) = content.get_mut((at % used as u64) as usize) {
                *byte ^= 1 << bit;
            }
        });
        if changed {
            say!(self.trace, "a bit of m{host}'s {} rots", file.display());
            self.counts.one("bits_rotten");
            self.rotten = Some(host);
            self.excused[host] = true;
        }
    }

    fn move_leader(&mut self) {
        let Some(leader) = self.leader_host() else {
            return;
        };
        let target = self.hosts[self.rng.index(self.hosts.len())].id;
        let Some(process) = &self.hosts[leader].process else {
            return;
        };
        let Some(node) = process.node.clone() else {
            return;
        };
        say!(
            self.trace,
            "m{leader} is asked to hand leadership to {target:x}"
        );
        self.counts.one("leader_moves");
        process.runtime.spawn(async move {
            // Refusals are part of it.
            let _ = node.move_leader(target).await;
        });
    }
}
