//! The texts of `--help` and `--version`.

use super::spec::{FLAGS, Group, Kind, Support};
use std::fmt::Write as _;

pub(super) const USAGE: &str = "\
Usage:

  kvstore [flags]
    Start a member.

  kvstore --version
    Show the version of the etcd API this server implements.

  kvstore -h | --help
    Show the flags.

  kvstore --config-file
    Path to a YAML or JSON file with flag names as keys. Other flags and environment variables are then ignored.";

/// Lines as etcd prints them; tools read the first.
pub(super) fn version() -> String {
    format!(
        "etcd Version: {}\nGit SHA: {}\nGo Version: none (mainstay kvstore {})\nGo OS/Arch: {}/{}",
        crate::version::SERVER,
        option_env!("KVSTORE_GIT_SHA").unwrap_or("unknown"),
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        crate::version::go_arch(),
    )
}

/// All flags in groups.
pub(super) fn flags() -> String {
    let mut out = format!("{USAGE}\n");
    for group in Group::ALL {
        let _ = write!(out, "\n{}:\n", group.title());
        for flag in FLAGS
            .iter()
            .filter(|f| f.group == *group && f.kind != Kind::Ignored)
        {
            let _ = writeln!(out, "  --{} '{}'", flag.name, flag.default);
            let note = match flag.support {
                Support::Full => "",
                Support::NoEffect => " (accepted, no effect here)",
                Support::Missing => " (not supported yet)",
            };
            let _ = writeln!(out, "    {}{note}", flag.help);
        }
    }
    out
}
