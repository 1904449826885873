//! From flags to a checked configuration. All problems are reported together.

use crate::flags::{Support, Values, duration};
use crate::log::{Format, LogOptions};
use crate::tls::TlsFiles;
use crate::urls::ListenUrl;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tracing::Level;

/// Longest election timeout etcd accepts, in milliseconds.
const ELECTION_MS_MAX: u64 = 50_000;
/// How often members are compared unless the flag says otherwise: hashing reads all data.
const COMPARE_INTERVAL: Duration = Duration::from_secs(600);
const COMPARE_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Shortest interval of progress notifications.
const PROGRESS_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Everything a member is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Human-readable name.
    pub name: String,
    /// Data directory.
    pub data_dir: PathBuf,
    /// The log's own directory, if given.
    pub wal_dir: Option<PathBuf>,
    /// Where peers connect.
    pub listen_peer_urls: Vec<ListenUrl>,
    /// Where clients connect.
    pub listen_client_urls: Vec<ListenUrl>,
    /// HTTP apart from gRPC, if given.
    pub listen_client_http_urls: Vec<ListenUrl>,
    /// Metrics and health apart, if given.
    pub listen_metrics_urls: Vec<ListenUrl>,
    /// What clients are told.
    pub advertise_client_urls: Vec<ListenUrl>,
    /// What peers are told.
    pub advertise_peer_urls: Vec<ListenUrl>,
    /// Members of the first configuration: peer URLs by name.
    pub initial_cluster: BTreeMap<String, Vec<ListenUrl>>,
    /// Token that tells clusters with equal URLs apart.
    pub cluster_token: String,
    /// Joining a cluster that runs.
    pub join_existing: bool,
    /// See the flag of the same name.
    pub heartbeat_ms: u64,
    /// See the flag of the same name.
    pub election_ms: u64,
    /// See the flag of the same name.
    pub pre_vote: bool,
    /// See the flag of the same name.
    pub snapshot_count: u64,
    /// See the flag of the same name.
    pub max_learners: usize,
    /// Bytes; 0 default, negative off.
    pub quota_bytes: i64,
    /// See the flag of the same name.
    pub max_txn_ops: usize,
    /// See the flag of the same name.
    pub max_request_bytes: usize,
    /// See the flag of the same name.
    pub max_concurrent_streams: u32,
    /// Pings closer together are abuse.
    pub keepalive_min_time: Duration,
    /// Pings of the server; zero for none.
    pub keepalive_interval: Duration,
    /// Time to answer them.
    pub keepalive_timeout: Duration,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// See the flag of the same name.
    pub progress_interval: Duration,
    /// Unary requests that take longer are logged.
    pub slow_request: Duration,
    /// Histograms per method.
    pub extensive_metrics: bool,
    /// How often the leader compares all members' data; zero for never.
    pub compare_interval: Duration,
    /// How often everything on disk is read; zero for never.
    pub scrub_interval: Duration,
    /// See the flag of the same name.
    pub unsafe_no_fsync: bool,
    /// Client port.
    pub client_tls: TlsFiles,
    /// Between peers.
    pub peer_tls: TlsFiles,
    /// Logging.
    pub log: LogOptions,
    /// Lines for the log once it is up.
    pub notes: Vec<String>,
}

/// What is wrong with the flags, one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// Collects problems.
struct Builder<'a> {
    values: &'a Values,
    problems: Vec<String>,
    notes: Vec<String>,
}

impl Config {
    /// Where the member's data is, or will be.
    pub fn data_dir(values: &Values) -> PathBuf {
        match values.get("data-dir") {
            "" => PathBuf::from(format!("{}.etcd", values.get("name"))),
            dir => PathBuf::from(dir),
        }
    }

    /// Checks the flags and everything that can be checked without the disk. A member that exists already ignores
    /// what the flags say about the first cluster.
    pub fn build(values: &Values, exists: bool) -> Result<Self, ConfigError> {
        let mut b = Builder {
            values,
            problems: Vec::new(),
            notes: values.notes.clone(),
        };
        b.support();
        let config = b.config();
        b.check(&config, exists);
        if b.problems.is_empty() {
            Ok(Self {
                notes: b.notes,
                ..config
            })
        } else {
            Err(ConfigError(b.problems))
        }
    }
}

impl Builder<'_> {
    fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    /// Nothing that would behave differently than asked is accepted.
    fn support(&mut self) {
        for (flag, value) in self.values.changed() {
            match flag.support {
                Support::Full => {}
                Support::NoEffect => {
                    self.notes
                        .push(format!("--{}={value} has no effect here", flag.name));
                }
                Support::Missing => self
                    .problems
                    .push(format!("--{} is not supported yet", flag.name)),
            }
        }
        self.feature_gates();
    }

    fn feature_gates(&mut self) {
        for pair in self.values.list("feature-gates") {
            let (name, wanted) = pair.split_once('=').unwrap_or((&pair, "true"));
            let wanted = match wanted {
                "true" => true,
                "false" => false,
                _ => {
                    self.problem(format!("invalid value of feature gate {pair:?}"));
                    continue;
                }
            };
            match name {
                // Always so here, or without meaning here.
                "LeaseCheckpoint"
                | "LeaseCheckpointPersist"
                | "FastLeaseKeepAlive"
                | "TxnModeWriteWithSharedBuffer"
                | "StopGRPCServiceOnDefrag"
                | "CompactHashCheck"
                | "PriorityRequest" => {
                    self.notes
                        .push(format!("feature gate {name}={wanted} has no effect here"));
                }
                "InitialCorruptCheck" | "SetMemberLocalAddr" if !wanted => {}
                "InitialCorruptCheck" | "SetMemberLocalAddr" => {
                    self.problem(format!("feature gate {name} is not supported yet"));
                }
                _ => self.problem(format!("unrecognized feature gate: {name}")),
            }
        }
    }

    fn config(&mut self) -> Config {
        let v = self.values;
        let name = v.get("name").to_owned();
        let path = |flag: &str| PathBuf::from(v.get(flag));
        let advertise_peer_urls = self.urls("initial-advertise-peer-urls");
        Config {
            data_dir: Config::data_dir(v),
            wal_dir: Some(path("wal-dir")).filter(|dir| !dir.as_os_str().is_empty()),
            listen_peer_urls: self.urls("listen-peer-urls"),
            listen_client_urls: self.urls("listen-client-urls"),
            listen_client_http_urls: self.urls("listen-client-http-urls"),
            listen_metrics_urls: self.urls("listen-metrics-urls"),
            advertise_client_urls: self.urls("advertise-client-urls"),
            initial_cluster: self.initial_cluster(&name, &advertise_peer_urls),
            advertise_peer_urls,
            cluster_token: v.get("initial-cluster-token").to_owned(),
            join_existing: v.get("initial-cluster-state") == "existing",
            heartbeat_ms: self.number("heartbeat-interval"),
            election_ms: self.number("election-timeout"),
            pre_vote: v.flag("pre-vote"),
            snapshot_count: self.number("snapshot-count"),
            max_learners: self.number("max-learners"),
            quota_bytes: self.number("quota-backend-bytes"),
            max_txn_ops: self.number("max-txn-ops"),
            max_request_bytes: self.number("max-request-bytes"),
            max_concurrent_streams: self.number("max-concurrent-streams"),
            keepalive_min_time: self.duration("grpc-keepalive-min-time"),
            keepalive_interval: self.duration("grpc-keepalive-interval"),
            keepalive_timeout: self.duration("grpc-keepalive-timeout"),
            reuse_port: v.flag("socket-reuse-port"),
            progress_interval: self.duration("watch-progress-notify-interval"),
            slow_request: self.duration("warning-unary-request-duration"),
            extensive_metrics: v.get("metrics") == "extensive",
            compare_interval: self.compare_interval(),
            scrub_interval: self.duration("experimental-scrub-interval"),
            unsafe_no_fsync: v.flag("unsafe-no-fsync"),
            client_tls: self.tls(""),
            peer_tls: self.tls("peer-"),
            log: self.log(),
            notes: Vec::new(),
            name,
        }
    }

    fn urls(&mut self, flag: &str) -> Vec<ListenUrl> {
        match ListenUrl::parse_list(self.values.get(flag)) {
            Ok(urls) => urls,
            Err(error) => {
                self.problem(format!("--{flag}: {error}"));
                Vec::new()
            }
        }
    }

    fn number<T: TryFrom<i128> + Default>(&mut self, flag: &str) -> T {
        self.values.number(flag).unwrap_or_else(|| {
            self.problem(format!(
                "--{flag}={} is out of range",
                self.values.get(flag)
            ));
            T::default()
        })
    }

    fn duration(&mut self, flag: &str) -> Duration {
        // The text was checked when it was set.
        duration(self.values.get(flag)).unwrap_or_default()
    }

    /// etcd's default is never; here it is this server's own. Whoever switches etcd's cheaper check off means both.
    fn compare_interval(&mut self) -> Duration {
        let chosen = self.duration("corrupt-check-time");
        let off = self.values.list("feature-gates");
        if off.iter().any(|gate| gate == "CompactHashCheck=false") {
            Duration::ZERO
        } else if chosen.is_zero() {
            COMPARE_INTERVAL
        } else {
            chosen.max(COMPARE_INTERVAL_MIN)
        }
    }

    fn initial_cluster(
        &mut self,
        name: &str,
        advertised: &[ListenUrl],
    ) -> BTreeMap<String, Vec<ListenUrl>> {
        if !self.values.is_set("initial-cluster") {
            return BTreeMap::from([(name.to_owned(), advertised.to_vec())]);
        }
        let mut members: BTreeMap<String, Vec<ListenUrl>> = BTreeMap::new();
        for part in self.values.list("initial-cluster") {
            let Some((name, url)) = part.split_once('=').filter(|(_, url)| !url.is_empty()) else {
                self.problem(format!("--initial-cluster: empty URL given for {part:?}"));
                continue;
            };
            match ListenUrl::parse(url) {
                Ok(url) => members.entry(name.trim().to_owned()).or_default().push(url),
                Err(error) => self.problem(format!("--initial-cluster: {error}")),
            }
        }
        for urls in members.values_mut() {
            urls.sort_by(|a, b| a.text.cmp(&b.text));
        }
        members
    }

    fn tls(&mut self, side: &str) -> TlsFiles {
        let v = self.values;
        let path = |name: &str| PathBuf::from(v.get(&format!("{side}{name}")));
        let crl = if side.is_empty() {
            "client-crl-file"
        } else {
            "peer-crl-file"
        };
        TlsFiles {
            cert: path("cert-file"),
            key: path("key-file"),
            client_cert: path("client-cert-file"),
            client_key: path("client-key-file"),
            trusted_ca: path("trusted-ca-file"),
            crl: PathBuf::from(v.get(crl)),
            client_cert_auth: v.flag(&format!("{side}client-cert-auth")),
            min_version: v.get("tls-min-version").to_owned(),
            max_version: v.get("tls-max-version").to_owned(),
        }
    }

    fn log(&mut self) -> LogOptions {
        let level = match self.values.get("log-level") {
            "debug" => Level::DEBUG,
            "info" => Level::INFO,
            "warn" => Level::WARN,
            _ => Level::ERROR,
        };
        let format = match self.values.get("log-format") {
            "console" => Format::Console,
            _ => Format::Json,
        };
        LogOptions {
            level,
            format,
            outputs: self.values.list("log-outputs"),
        }
    }

    fn check(&mut self, c: &Config, exists: bool) {
        self.check_timing(c);
        self.check_urls(c);
        if !exists {
            self.check_cluster(c);
        }
        self.check_tls("", &c.client_tls, &c.listen_client_urls);
        self.check_tls("peer-", &c.peer_tls, &c.listen_peer_urls);
        if c.name == "default" {
            self.notes.push(
                "it isn't recommended to use default name, please set a value for --name"
                    .to_owned(),
            );
        }
    }

    fn check_timing(&mut self, c: &Config) {
        let (tick, election) = (c.heartbeat_ms, c.election_ms);
        if tick == 0 {
            self.problem("--heartbeat-interval must be >0 (set to 0ms)");
        }
        if election == 0 {
            self.problem("--election-timeout must be >0 (set to 0ms)");
        }
        if 5 * tick > election {
            self.problem(format!(
                "--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{tick}ms]"
            ));
        }
        if election > ELECTION_MS_MAX {
            self.problem(format!(
                "--election-timeout[{election}ms] is too long, and should be set less than {ELECTION_MS_MAX}ms"
            ));
        }
        if c.progress_interval < PROGRESS_INTERVAL_MIN {
            self.problem("--watch-progress-notify-interval must be at least 100ms");
        }
        for (flag, value) in [
            ("max-txn-ops", c.max_txn_ops),
            ("max-request-bytes", c.max_request_bytes),
        ] {
            if value == 0 {
                self.problem(format!("--{flag} must be >0"));
            }
        }
    }

    fn check_urls(&mut self, c: &Config) {
        let lists = [
            &c.listen_peer_urls,
            &c.listen_client_urls,
            &c.listen_client_http_urls,
            &c.listen_metrics_urls,
        ];
        for url in lists.into_iter().flatten() {
            if let Err(error) = url.check_bind() {
                self.problem(error.to_string());
            }
        }
        for (flag, list) in [
            ("listen-peer-urls", &c.listen_peer_urls),
            ("listen-client-urls", &c.listen_client_urls),
        ] {
            if list.is_empty() {
                self.problem(format!("--{flag} must name at least one URL"));
            }
        }
        let v = self.values;
        if v.is_set("listen-client-urls") && !v.is_set("advertise-client-urls") {
            self.problem(
                "--advertise-client-urls is required when --listen-client-urls is set explicitly",
            );
        }
    }

    fn check_cluster(&mut self, c: &Config) {
        let mut seen = std::collections::BTreeSet::new();
        for url in c.initial_cluster.values().flatten() {
            if !seen.insert(&url.text) {
                self.problem(format!("initial cluster has duplicate url {}", url.text));
            }
        }
        let Some(own) = c.initial_cluster.get(&c.name) else {
            self.problem(format!(
                "couldn't find local name {:?} in the initial cluster configuration",
                c.name
            ));
            return;
        };
        let advertised = &c.advertise_peer_urls;
        let list = |urls: &[ListenUrl]| {
            urls.iter()
                .map(|url| url.text.clone())
                .collect::<Vec<_>>()
                .join(",")
        };
        let missing = |from: &[ListenUrl], of: &[ListenUrl]| {
            of.iter()
                .filter(|url| !from.contains(url))
                .map(|url| format!("{}={}", c.name, url.text))
                .collect::<Vec<_>>()
                .join(",")
        };
        let not_advertised = missing(advertised, own);
        if !not_advertised.is_empty() {
            self.problem(format!(
                "--initial-cluster has {not_advertised} but missing from --initial-advertise-peer-urls={}",
                list(advertised)
            ));
            return;
        }
        let not_in_cluster = missing(own, advertised);
        if !not_in_cluster.is_empty() {
            self.problem(format!(
                "--initial-advertise-peer-urls has {} but missing from --initial-cluster={}={}",
                not_in_cluster.replace(&format!("{}=", c.name), ""),
                c.name,
                list(own)
            ));
        }
    }

    fn check_tls(&mut self, side: &str, files: &TlsFiles, urls: &[ListenUrl]) {
        let given = |path: &PathBuf| !path.as_os_str().is_empty();
        if given(&files.cert) != given(&files.key) {
            self.problem(format!(
                "{side}cert-file and {side}key-file must both be present [key: {}, cert: {}]",
                files.key.display(),
                files.cert.display()
            ));
        }
        if given(&files.client_cert) != given(&files.client_key) {
            self.problem(format!(
                "--{side}client-cert-file and --{side}client-key-file must both be present"
            ));
        }
        if urls.iter().any(|url| url.tls) && files.is_empty() {
            self.problem(format!(
                "TLS is asked for by an https URL, but --{side}cert-file and --{side}key-file are missing"
            ));
        }
        if files.client_cert_auth && !given(&files.trusted_ca) {
            self.problem(format!(
                "--{side}client-cert-auth needs --{side}trusted-ca-file"
            ));
        }
        if !files.is_empty() && urls.iter().any(|url| !url.tls) {
            self.notes.push(format!(
                "the scheme of a {}URL is http while {side}key/cert files are presented: they are ignored there",
                if side.is_empty() { "client " } else { "peer " }
            ));
        }
    }
}

#[cfg(test)]
mod tests;
