//! What the process itself uses, under the names that Prometheus' clients agree on.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Read from `/proc/self` whenever somebody looks.
#[derive(Debug)]
pub struct ProcessFigures {
    /// Seconds since 1970.
    started: f64,
}

impl ProcessFigures {
    /// To be made when the process starts.
    #[expect(
        clippy::new_without_default,
        reason = "it notes the time: nothing about it is a default"
    )]
    #[must_use]
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            started: now.unwrap_or_default().as_secs_f64(),
        }
    }
}

impl Collector for ProcessFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counter = ConstCounter::new(cpu_seconds());
        let help = "user and system time";
        let name = "process_cpu_seconds";
        let descriptor = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
        counter.encode(descriptor)?;
        let memory = status();
        let gauges = [
            (
                "process_start_time_seconds",
                "since 1970",
                Some(self.started),
            ),
            (
                "process_resident_memory_bytes",
                "memory in use",
                memory.resident,
            ),
            (
                "process_virtual_memory_bytes",
                "address space",
                memory.address_space,
            ),
            ("process_open_fds", "open files", open_files()),
        ];
        for (name, help, value) in gauges {
            let Some(value) = value else {
                continue;
            };
            let gauge = ConstGauge::new(value);
            let descriptor = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(descriptor)?;
        }
        Ok(())
    }
}

/// Bytes.
struct Memory {
    resident: Option<f64>,
    address_space: Option<f64>,
}

fn status() -> Memory {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let number = line.trim().strip_suffix("kB")?.trim();
        number
            .parse::<f64>()
            .ok()
            .map(|kilobytes| kilobytes * 1024.0)
    };
    Memory {
        resident: kilobytes("VmRSS:"),
        address_space: kilobytes("VmSize:"),
    }
}

/// User and system time.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may have spaces in it.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks = |at: usize| {
        let text = after.split_whitespace().nth(at);
        text.and_then(|text| text.parse::<f64>().ok())
    };
    // Fields 14 and 15, the name being the second; in hundredths of a second on every Linux.
    (ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default()) / 100.0
}

fn open_files() -> Option<f64> {
    let files = std::fs::read_dir("/proc/self/fd").ok()?.count();
    u32::try_from(files).ok().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_process_uses_something() {
        let metrics = Metrics::default();
        metrics.collect(ProcessFigures::new());
        let text = metrics.text();
        for name in [
            "process_cpu_seconds_total ",
            "process_start_time_seconds ",
            "process_resident_memory_bytes ",
            "process_virtual_memory_bytes ",
            "process_open_fds ",
        ] {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let value = line.unwrap_or_else(|| panic!("{name}is not in {text}"));
            let value: f64 = value.parse().expect("a number");
            // Too little time may have passed for a tick.
            assert!(
                value > 0.0 || name.starts_with("process_cpu"),
                "{name}{value}"
            );
        }
    }
}
