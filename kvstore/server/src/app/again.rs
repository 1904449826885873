//! Starting over in the same process.
//!
//! A member that found its data damaged must not keep anything of it: caches, open files, threads that read or
//! write. Taking all of that down piece by piece would have to be proven for each; replacing the program by itself
//! takes down everything at once, keeps the process id that a supervisor watches, and needs no supervisor.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Runs this program again with the same arguments and environment. Returns only if that is not possible.
pub(super) fn run() -> String {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| "kvstore".into());
    // Not the path it was started by: the file may have been replaced by another version meanwhile.
    let error = Command::new("/proc/self/exe")
        .arg0(name)
        .args(arguments)
        .exec();
    format!("cannot start over: {error}")
}
