//! Every flag of etcd 3.7, with its kind, its default and whether it does anything here.

/// Syntax of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Bool,
    /// Up to a largest value.
    Unsigned(u64),
    Signed,
    Duration,
    Urls,
    /// URLs, or `*`.
    AnyUrls,
    List,
    OneOf(&'static [&'static str]),
    /// Legacy flags that etcd accepts and ignores.
    Ignored,
}

/// Whether a flag is honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    Full,
    /// Safe to ignore: it tunes something this server does not have.
    NoEffect,
    /// Ignoring it would do something else than asked: the process refuses to start.
    Missing,
}

/// Section of the help text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Member,
    Clustering,
    Security,
    Operations,
}

impl Group {
    pub(super) const ALL: &'static [Self] = &[
        Self::Member,
        Self::Clustering,
        Self::Security,
        Self::Operations,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Member => "Member",
            Self::Clustering => "Clustering",
            Self::Security => "Security",
            Self::Operations => "Operations",
        }
    }
}

/// One flag.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    pub(crate) support: Support,
    pub(super) group: Group,
    pub(super) help: &'static str,
}

const fn flag(
    group: Group,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    support: Support,
    help: &'static str,
) -> Flag {
    Flag {
        name,
        kind,
        default,
        support,
        group,
        help,
    }
}

pub(super) fn find(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

use Group::{Clustering, Member, Operations, Security};
use Kind::{AnyUrls, Bool, Duration, Ignored, List, OneOf, Signed, Text, Unsigned, Urls};
use Support::{Full, Missing, NoEffect};

#[rustfmt::skip]
pub(super) static FLAGS: &[Flag] = &[
    flag(Member, "name", Text, "default", Full, "Human-readable name for this member."),
    flag(Member, "data-dir", Text, "", Full, "Path to the data directory; the default is the name followed by .etcd."),
    flag(Member, "wal-dir", Text, "", Full, "Path to a dedicated directory for the log."),
    flag(Member, "snapshot-count", Unsigned(u64::MAX), "10000", Full, "Number of committed transactions to trigger a snapshot."),
    flag(Member, "heartbeat-interval", Unsigned(u32::MAX as u64), "100", Full, "Time (in milliseconds) of a heartbeat interval."),
    flag(Member, "election-timeout", Unsigned(u32::MAX as u64), "1000", Full, "Time (in milliseconds) for an election to timeout."),
    flag(Member, "initial-election-tick-advance", Bool, "true", NoEffect, "Whether to fast-forward initial election ticks on boot."),
    flag(Member, "listen-peer-urls", Urls, "http://localhost:2380", Full, "List of URLs to listen on for peer traffic."),
    flag(Member, "listen-client-urls", Urls, "http://localhost:2379", Full, "List of URLs to listen on for client gRPC traffic, and HTTP unless --listen-client-http-urls is given."),
    flag(Member, "listen-client-http-urls", Urls, "", Full, "List of URLs to listen on for HTTP-only client traffic."),
    flag(Member, "max-wals", Unsigned(u32::MAX as u64), "5", NoEffect, "Maximum number of log files to retain."),
    flag(Member, "max-snapshots", Unsigned(u32::MAX as u64), "5", NoEffect, "Maximum number of snapshot files to retain."),
    flag(Member, "memory-mlock", Bool, "false", NoEffect, "Keep pages in memory."),
    flag(Member, "quota-backend-bytes", Signed, "0", Full, "Raise the NOSPACE alarm when the database reaches this size in bytes; 0 and less is no limit (0 is 2 GiB in etcd)."),
    flag(Member, "backend-bbolt-freelist-type", Text, "map", NoEffect, "Type of freelist of the bbolt backend."),
    flag(Member, "backend-batch-interval", Duration, "0s", NoEffect, "Maximum time before commit of the backend transaction."),
    flag(Member, "backend-batch-limit", Signed, "0", NoEffect, "Maximum operations before commit of the backend transaction."),
    flag(Member, "max-txn-ops", Unsigned(u32::MAX as u64), "128", Full, "Maximum number of operations permitted in a transaction."),
    flag(Member, "max-request-bytes", Unsigned(u32::MAX as u64), "1572864", Full, "Maximum client request size in bytes."),
    flag(Member, "max-concurrent-streams", Unsigned(u32::MAX as u64), "4294967295", Full, "Maximum concurrent streams that each client can open at a time."),
    flag(Member, "grpc-keepalive-min-time", Duration, "5s", Full, "Minimum interval a client should wait before pinging the server."),
    flag(Member, "grpc-keepalive-interval", Duration, "2h", Full, "Frequency of server-to-client pings (0 to disable)."),
    flag(Member, "grpc-keepalive-timeout", Duration, "20s", Full, "Wait before closing a connection that does not answer a ping."),
    flag(Member, "socket-reuse-port", Bool, "false", Full, "Set SO_REUSEPORT on listeners."),
    flag(Member, "socket-reuse-address", Bool, "false", Full, "Set SO_REUSEADDR on listeners."),
    flag(Member, "enable-grpc-gateway", Bool, "true", NoEffect, "Serve the JSON gateway."),
    flag(Member, "raft-read-timeout", Duration, "5s", NoEffect, "Read timeout of peer connections."),
    flag(Member, "raft-write-timeout", Duration, "5s", NoEffect, "Write timeout of peer connections."),
    flag(Member, "feature-gates", Text, "", Full, "Feature gates as name=bool pairs."),
    flag(Member, "v2-deprecation", Text, "write-only", NoEffect, "Phase of the deprecation of the v2 store."),
    flag(Clustering, "initial-advertise-peer-urls", Urls, "http://localhost:2380", Full, "List of this member's peer URLs to advertise to the rest of the cluster."),
    flag(Clustering, "initial-cluster", Text, "default=http://localhost:2380", Full, "Initial cluster configuration for bootstrapping."),
    flag(Clustering, "initial-cluster-state", OneOf(&["new", "existing"]), "new", Full, "'new' when bootstrapping a cluster, 'existing' when joining one."),
    flag(Clustering, "initial-cluster-token", Text, "etcd-cluster", Full, "Token of the cluster during bootstrap."),
    flag(Clustering, "advertise-client-urls", Urls, "http://localhost:2379", Full, "List of this member's client URLs to advertise."),
    flag(Clustering, "discovery-token", Text, "", Missing, "V3 discovery: token."),
    flag(Clustering, "discovery-endpoints", List, "", Missing, "V3 discovery: endpoints."),
    flag(Clustering, "discovery-dial-timeout", Duration, "2s", Missing, "V3 discovery: dial timeout."),
    flag(Clustering, "discovery-request-timeout", Duration, "5s", Missing, "V3 discovery: request timeout."),
    flag(Clustering, "discovery-keepalive-time", Duration, "2s", Missing, "V3 discovery: keepalive time."),
    flag(Clustering, "discovery-keepalive-timeout", Duration, "6s", Missing, "V3 discovery: keepalive timeout."),
    flag(Clustering, "discovery-insecure-transport", Bool, "true", Missing, "V3 discovery: disable transport security."),
    flag(Clustering, "discovery-insecure-skip-tls-verify", Bool, "false", Missing, "V3 discovery: skip certificate verification."),
    flag(Clustering, "discovery-cert", Text, "", Missing, "V3 discovery: client certificate."),
    flag(Clustering, "discovery-key", Text, "", Missing, "V3 discovery: client key."),
    flag(Clustering, "discovery-cacert", Text, "", Missing, "V3 discovery: CA bundle."),
    flag(Clustering, "discovery-user", Text, "", Missing, "V3 discovery: user."),
    flag(Clustering, "discovery-password", Text, "", Missing, "V3 discovery: password."),
    flag(Clustering, "discovery-fallback", OneOf(&["exit", "proxy"]), "exit", Missing, "Behaviour when discovery fails."),
    flag(Clustering, "discovery-srv", Text, "", Missing, "DNS domain used to bootstrap the initial cluster."),
    flag(Clustering, "discovery-srv-name", Text, "", Missing, "Service name to query when using DNS discovery."),
    flag(Clustering, "strict-reconfig-check", Bool, "true", NoEffect, "Reject reconfiguration requests that would cause quorum loss (always on)."),
    flag(Clustering, "pre-vote", Bool, "true", Full, "Run an additional election phase so that a returning member does not disturb the cluster."),
    flag(Clustering, "auto-compaction-retention", Text, "0", Missing, "Auto compaction retention; 0 disables it."),
    flag(Clustering, "auto-compaction-mode", OneOf(&["periodic", "revision"]), "periodic", NoEffect, "Meaning of the auto compaction retention."),
    flag(Clustering, "max-learners", Signed, "1", Full, "Maximum number of learners in the cluster."),
    flag(Clustering, "snapshot-catchup-entries", Unsigned(u64::MAX), "5000", NoEffect, "Entries kept for a slow follower after compacting the log."),
    flag(Security, "cert-file", Text, "", Full, "Path to the client server TLS certificate."),
    flag(Security, "key-file", Text, "", Full, "Path to the client server TLS key."),
    flag(Security, "client-cert-auth", Bool, "false", Full, "Require certificates of clients."),
    flag(Security, "client-cert-file", Text, "", Full, "Certificate shown when acting as a client; the server certificate if empty."),
    flag(Security, "client-key-file", Text, "", Full, "Key of that certificate."),
    flag(Security, "trusted-ca-file", Text, "", Full, "Path to the CA certificates that sign those of clients."),
    flag(Security, "client-crl-file", Text, "", Full, "Path to the revocation list for client certificates."),
    flag(Security, "auto-tls", Bool, "false", Missing, "Use generated certificates for client traffic."),
    flag(Security, "peer-cert-file", Text, "", Full, "Path to the peer server TLS certificate."),
    flag(Security, "peer-key-file", Text, "", Full, "Path to the peer server TLS key."),
    flag(Security, "peer-client-cert-auth", Bool, "false", Full, "Require certificates of peers."),
    flag(Security, "peer-client-cert-file", Text, "", Full, "Certificate shown when acting as a client; the server certificate if empty."),
    flag(Security, "peer-client-key-file", Text, "", Full, "Key of that certificate."),
    flag(Security, "peer-trusted-ca-file", Text, "", Full, "Path to the CA certificates that sign those of peers."),
    flag(Security, "peer-crl-file", Text, "", Full, "Path to the revocation list for peer certificates."),
    flag(Security, "peer-auto-tls", Bool, "false", Missing, "Use generated certificates for peer traffic."),
    flag(Security, "client-cert-allowed-hostname", List, "", Missing, "Allowed SAN hostnames of client certificates."),
    flag(Security, "peer-cert-allowed-cn", List, "", Missing, "Allowed common names of peer certificates."),
    flag(Security, "peer-cert-allowed-hostname", List, "", Missing, "Allowed SAN hostnames of peer certificates."),
    flag(Security, "peer-skip-client-san-verification", Bool, "false", NoEffect, "Skip verification of the SAN of peer client certificates (it is not verified)."),
    flag(Security, "self-signed-cert-validity", Unsigned(u32::MAX as u64), "1", NoEffect, "Validity of generated certificates in years."),
    flag(Security, "cipher-suites", List, "", Missing, "TLS cipher suites."),
    flag(Security, "tls-min-version", Text, "TLS1.2", Full, "Oldest TLS version: TLS1.2 or TLS1.3."),
    flag(Security, "tls-max-version", Text, "", Full, "Newest TLS version: TLS1.2 or TLS1.3."),
    flag(Security, "cors", AnyUrls, "*", NoEffect, "Origins allowed for cross-origin requests of the JSON gateway."),
    flag(Security, "host-whitelist", List, "*", Missing, "Acceptable host names of HTTP requests if the server is not secure."),
    flag(Security, "auth-token", Text, "simple", Missing, "Kind and options of authentication tokens."),
    flag(Security, "auth-token-ttl", Unsigned(u32::MAX as u64), "300", NoEffect, "Lifetime of an authentication token in seconds."),
    flag(Security, "bcrypt-cost", Unsigned(u32::MAX as u64), "10", NoEffect, "Cost of hashing passwords."),
    flag(Operations, "logger", OneOf(&["zap"]), "zap", Full, "Only zap, whose format the log lines have."),
    flag(Operations, "log-outputs", List, "default", Full, "stderr, stdout, default or file paths, comma-separated."),
    flag(Operations, "log-level", OneOf(&["debug", "info", "warn", "error", "panic", "fatal"]), "info", Full, "Least severe level that is logged."),
    flag(Operations, "log-format", OneOf(&["json", "console"]), "json", Full, "json or console."),
    flag(Operations, "enable-log-rotation", Bool, "false", Missing, "Rotate a log file."),
    flag(Operations, "log-rotation-config-json", Text, "{\"maxsize\": 100, \"maxage\": 0, \"maxbackups\": 0, \"localtime\": false, \"compress\": false}", NoEffect, "How to rotate."),
    flag(Operations, "enable-pprof", Bool, "false", Missing, "Serve profiling data."),
    flag(Operations, "metrics", OneOf(&["basic", "extensive"]), "basic", Full, "Detail of exported metrics; extensive adds histograms per method."),
    flag(Operations, "listen-metrics-urls", Urls, "", Full, "List of URLs to listen on for metrics and health."),
    flag(Operations, "warning-apply-duration", Duration, "100ms", NoEffect, "Log requests that take longer to apply."),
    flag(Operations, "warning-unary-request-duration", Duration, "300ms", Full, "Log unary requests that take longer."),
    flag(Operations, "enable-distributed-tracing", Bool, "false", Missing, "Export traces."),
    flag(Operations, "distributed-tracing-address", Text, "localhost:4317", NoEffect, "Address of the trace collector."),
    flag(Operations, "distributed-tracing-service-name", Text, "etcd", NoEffect, "Service name in traces."),
    flag(Operations, "distributed-tracing-instance-id", Text, "", NoEffect, "Instance id in traces."),
    flag(Operations, "distributed-tracing-sampling-rate", Signed, "0", NoEffect, "Traces per million."),
    flag(Operations, "corrupt-check-time", Duration, "0s", Full, "Time between checks of members against each other; 0 means 10 minutes, the feature gate CompactHashCheck=false never."),
    flag(Operations, "compact-hash-check-time", Duration, "1m", NoEffect, "Time between checks of compaction hashes."),
    flag(Operations, "experimental-scrub-interval", Duration, "12h", Full, "Time between readings of everything on disk to find damage (0 to disable); not in etcd."),
    flag(Operations, "compaction-batch-limit", Signed, "0", NoEffect, "Maximum revisions deleted in each compaction batch."),
    flag(Operations, "compaction-sleep-interval", Duration, "0s", NoEffect, "Pause between compaction batches."),
    flag(Operations, "watch-progress-notify-interval", Duration, "10m", Full, "Interval of periodic watch progress notifications."),
    flag(Operations, "downgrade-check-time", Duration, "5s", NoEffect, "Time between checks of a downgrade."),
    flag(Operations, "bootstrap-defrag-threshold-megabytes", Unsigned(u32::MAX as u64), "0", NoEffect, "Defragment at start when it frees this much."),
    flag(Operations, "unsafe-no-fsync", Bool, "false", Full, "Never wait for the disk: acknowledged writes may be lost."),
    flag(Operations, "force-new-cluster", Bool, "false", Missing, "Force to create a new one-member cluster."),
    flag(Operations, "config-file", Text, "", Full, "Path to a configuration file."),
    flag(Operations, "version", Bool, "false", Full, "Print the version and exit."),
    flag(Operations, "cluster-active-size", Ignored, "", NoEffect, "Accepted and ignored."),
    flag(Operations, "cluster-remove-delay", Ignored, "", NoEffect, "Accepted and ignored."),
    flag(Operations, "cluster-sync-interval", Ignored, "", NoEffect, "Accepted and ignored."),
    flag(Operations, "config", Ignored, "", NoEffect, "Accepted and ignored."),
    flag(Operations, "force", Ignored, "", NoEffect, "Accepted and ignored."),
    flag(Operations, "max-result-buffer", Ignored, "", NoEffect, "Accepted and ignored."),
    flag(Operations, "max-retry-attempts", Ignored, "", NoEffect, "Accepted and ignored."),
    flag(Operations, "peer-heartbeat-interval", Ignored, "", NoEffect, "Accepted and ignored."),
    flag(Operations, "peer-election-timeout", Ignored, "", NoEffect, "Accepted and ignored."),
    flag(Operations, "retry-interval", Ignored, "", NoEffect, "Accepted and ignored."),
    flag(Operations, "snapshot", Ignored, "", NoEffect, "Accepted and ignored."),
    flag(Operations, "v", Ignored, "", NoEffect, "Accepted and ignored."),
    flag(Operations, "vv", Ignored, "", NoEffect, "Accepted and ignored."),
    flag(Operations, "test.coverprofile", Ignored, "", NoEffect, "Accepted and ignored."),
    flag(Operations, "test.outputdir", Ignored, "", NoEffect, "Accepted and ignored."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_defaults_are_valid() {
        for (index, flag) in FLAGS.iter().enumerate() {
            assert!(
                FLAGS[..index].iter().all(|other| other.name != flag.name),
                "{}",
                flag.name
            );
            let fine = super::super::value::check(flag.kind, flag.default);
            assert_eq!(fine, Ok(()), "{}", flag.name);
        }
    }
}
