//! The versions this server reports.

/// Version of the etcd API it implements. Clients parse it to decide which features they may use.
pub const SERVER: &str = "3.7.1";
/// Cluster and storage versions: what etcd reports once all members run [`SERVER`].
pub const CLUSTER: &str = "3.7.0";

/// Go's name of this machine's architecture, for the last line of `--version`.
pub(crate) fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
