//! What the kernel says about processes.

use crate::error::{Error, Result};
use std::fs;

/// The state letter of `/proc/PID/stat`: `R`unning, `S`leeping, s`T`opped, `Z`ombie, …; `None` once the process is gone.
pub(crate) fn state(path: &str) -> Option<char> {
    let text = fs::read_to_string(format!("{path}/stat")).ok()?;
    // The name before it is in parentheses and may hold anything.
    text.rsplit_once(')')?.1.trim_start().chars().next()
}

/// The states of all threads of a process, in no order.
pub(crate) fn thread_states(pid: u32) -> Result<Vec<char>> {
    let path = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&path).map_err(Error::io(format!("list {path}")))?;
    // A thread may end between being listed and being looked at.
    Ok(entries
        .flatten()
        .filter_map(|e| state(&format!("{path}/{}", e.file_name().display())))
        .collect())
}

/// User and system time of a process so far, in clock ticks.
pub(crate) fn cpu_ticks(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_runs() {
        let pid = std::process::id();
        assert!(super::state(&format!("/proc/{pid}")).is_some());
        assert!(!super::thread_states(pid).unwrap().is_empty());
        assert!(super::cpu_ticks(pid).is_some());
        assert_eq!(super::state("/proc/0"), None);
    }
}
