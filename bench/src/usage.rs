//! What servers and the load generator use: CPU time and memory.

use std::collections::BTreeMap;
use std::fs;

use crate::clock;

/// Kernel clock ticks per second; fixed at 100 for every Linux user-space interface.
const TICK_NS: u64 = 10_000_000;

/// The processes of one server (one per member).
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauge {
    pids: Vec<u32>,
}

/// A reading of all processes together.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    at_ns: u64,
    client_cpu_ns: u64,
    processes: BTreeMap<u32, ProcessCpu>,
}

#[derive(Debug, Clone, Default)]
struct ProcessCpu {
    /// utime + stime: complete, in steps of 10 ms.
    ticks_ns: u64,
    /// Run time of every living thread: exact, but threads that ended are missing.
    threads_ns: BTreeMap<u32, u64>,
    /// How long they could have run, but waited for a processor.
    waits_ns: BTreeMap<u32, u64>,
}

/// What was used between two readings.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) seconds: f64,
    pub(crate) server_cpu_ns: u64,
    /// Time in which threads of the servers could have run, but others had the processors.
    pub(crate) server_wait_ns: u64,
    pub(crate) client_cpu_ns: u64,
}

impl Gauge {
    pub(crate) fn new(pids: Vec<u32>) -> Self {
        Self { pids }
    }

    /// All processes of several gauges.
    pub(crate) fn of<'a>(gauges: impl Iterator<Item = &'a Self>) -> Self {
        Self::new(gauges.flat_map(|gauge| gauge.pids.clone()).collect())
    }

    /// Whether there is a process to look at.
    pub(crate) fn is_blind(&self) -> bool {
        self.pids.is_empty()
    }

    /// How many processes there are to look at.
    pub(crate) fn count(&self) -> usize {
        self.pids.len()
    }

    /// Reads CPU times; of a process that is gone everything is 0.
    pub(crate) fn read(&self) -> Reading {
        let processes = self
            .pids
            .iter()
            .map(|&pid| (pid, process_cpu(pid)))
            .collect();
        Reading {
            at_ns: clock::now(),
            client_cpu_ns: clock::thread_cpu(),
            processes,
        }
    }

    /// Resident memory of all processes in bytes.
    pub(crate) fn rss(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory since the start or `reset_peak`, summed over all processes, in bytes.
    pub(crate) fn peak_rss(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Begins `peak_rss` anew, where the kernel allows it.
    pub(crate) fn reset_peak(&self) {
        for pid in &self.pids {
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }

    fn memory(&self, name: &str) -> u64 {
        let each = self.pids.iter().map(|&pid| memory(pid, name).unwrap_or(0));
        each.sum()
    }
}

impl Reading {
    /// What was used since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Usage {
        let zero = ProcessCpu::default();
        let each = |of: fn(&ProcessCpu, &ProcessCpu) -> u64| {
            let processes = self.processes.iter();
            let since =
                processes.map(|(pid, now)| of(now, earlier.processes.get(pid).unwrap_or(&zero)));
            since.sum()
        };
        Usage {
            seconds: self.at_ns.saturating_sub(earlier.at_ns) as f64 / 1e9,
            server_cpu_ns: each(ProcessCpu::since),
            server_wait_ns: each(ProcessCpu::waited_since),
            client_cpu_ns: self.client_cpu_ns.saturating_sub(earlier.client_cpu_ns),
        }
    }
}

impl ProcessCpu {
    /// The threads' sum, unless it is so far below the ticks that a thread must have ended meanwhile.
    fn since(&self, earlier: &Self) -> u64 {
        let ticks = self.ticks_ns.saturating_sub(earlier.ticks_ns);
        let threads = grown(&self.threads_ns, &earlier.threads_ns);
        if threads + 2 * TICK_NS < ticks {
            ticks
        } else {
            threads
        }
    }

    fn waited_since(&self, earlier: &Self) -> u64 {
        grown(&self.waits_ns, &earlier.waits_ns)
    }
}

/// By how much the figures of all threads have grown.
fn grown(now: &BTreeMap<u32, u64>, earlier: &BTreeMap<u32, u64>) -> u64 {
    now.iter()
        .map(|(tid, ns)| ns.saturating_sub(earlier.get(tid).copied().unwrap_or(0)))
        .sum()
}

fn process_cpu(pid: u32) -> ProcessCpu {
    let mut cpu = ProcessCpu {
        ticks_ns: ticks_ns(pid).unwrap_or(0),
        ..ProcessCpu::default()
    };
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return cpu;
    };
    for task in tasks.flatten() {
        let run = fs::read_to_string(task.path().join("schedstat"));
        let tid = task.file_name().to_str().and_then(|t| t.parse().ok());
        let run = run.unwrap_or_default();
        let mut figures = run.split_whitespace().map(str::parse);
        if let (Some(tid), Some(Ok(ran)), Some(Ok(waited))) = (tid, figures.next(), figures.next())
        {
            cpu.threads_ns.insert(tid, ran);
            cpu.waits_ns.insert(tid, waited);
        }
    }
    cpu
}

fn ticks_ns(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_ticks(&stat).map(|ticks| ticks * TICK_NS)
}

/// utime + stime of a /proc/PID/stat line; the command in parentheses may hold anything.
fn parse_ticks(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let utime: u64 = fields.get(11)?.parse().ok()?;
    let stime: u64 = fields.get(12)?.parse().ok()?;
    Some(utime + stime)
}

/// A figure of /proc/PID/status, in bytes.
fn memory(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix(name))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_line_with_a_strange_name() {
        let line = "7 (a) b) (c) S 1 7 7 0 -1 4194304 10 0 0 0 120 30 0 0 20 0 5 0 100 1 1";
        assert_eq!(parse_ticks(line), Some(150));
        assert_eq!(parse_ticks("7 no"), None);
    }

    #[test]
    fn ended_threads_are_covered_by_the_ticks() {
        let reading = |ticks, list: &[(u32, u64)]| ProcessCpu {
            ticks_ns: ticks,
            threads_ns: list.iter().copied().collect(),
            ..ProcessCpu::default()
        };
        let before = reading(100_000_000, &[(1, 60_000_000), (2, 40_000_000)]);
        let both_live = reading(200_000_000, &[(1, 130_000_000), (2, 74_000_001)]);
        assert_eq!(both_live.since(&before), 104_000_001);
        let one_ended = reading(200_000_000, &[(1, 100_000_000)]);
        assert_eq!(one_ended.since(&before), 100_000_000);
    }

    #[test]
    fn own_process_is_measured() {
        let gauge = Gauge::new(vec![std::process::id()]);
        let first = gauge.read();
        let deadline = clock::thread_cpu() + 30_000_000;
        while clock::thread_cpu() < deadline {
            std::hint::spin_loop();
        }
        let used = gauge.read().since(&first);
        assert!(used.server_cpu_ns >= 29_000_000, "{used:?}");
        assert!(gauge.rss() > 1 << 20);
    }
}
