//! Flags that all components have, under upstream's names.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use http::Uri;

use crate::limits::REQUESTS_MAX;

/// To be flattened into a component's own flags.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Kubeconfig with the address of the apiserver and this component's credentials. Default: those of a pod.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Addresses of apiservers, in place of the kubeconfig's; when one does not answer the next one is asked.
    #[arg(long, value_delimiter = ',')]
    pub master: Vec<Uri>,
    /// Requests to the apiserver at a time.
    #[arg(long, default_value_t = REQUESTS_MAX)]
    pub kube_api_requests_max: usize,

    /// Address of the pages for health and metrics.
    #[arg(long, default_value = "0.0.0.0")]
    pub bind_address: IpAddr,
    /// Port of these pages; 0 for none. Default: upstream's.
    #[arg(long)]
    pub secure_port: Option<u16>,
    /// Certificate for these pages, with its chain. Default: one is made at the start.
    #[arg(long, requires = "tls_private_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// Its key.
    #[arg(long, requires = "tls_cert_file")]
    pub tls_private_key_file: Option<PathBuf>,
    /// Pages for everybody; others are for who may see them by the apiserver's judgement.
    #[arg(long, value_delimiter = ',', default_value = "/healthz,/readyz,/livez")]
    pub authorization_always_allow_paths: Vec<String>,

    /// Whether to work only while elected.
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub leader_elect: bool,
    /// How long others wait for a leader that is not heard of.
    #[arg(long, value_parser = duration, default_value = "15s")]
    pub leader_elect_lease_duration: Duration,
    /// How long a leader tries to renew before it gives up.
    #[arg(long, value_parser = duration, default_value = "10s")]
    pub leader_elect_renew_deadline: Duration,
    /// Between two attempts.
    #[arg(long, value_parser = duration, default_value = "2s")]
    pub leader_elect_retry_period: Duration,
    /// Name of the Lease. Default: the component's.
    #[arg(long)]
    pub leader_elect_resource_name: Option<String>,
    /// Namespace of the Lease.
    #[arg(long, default_value = "kube-system")]
    pub leader_elect_resource_namespace: String,
}

impl Flags {
    /// Of a component that opens no such pages and works without an election: one on each node, or all of its replicas.
    #[must_use]
    pub fn unelected(kubeconfig: Option<PathBuf>, master: Vec<Uri>) -> Self {
        Self {
            kubeconfig,
            master,
            kube_api_requests_max: REQUESTS_MAX,
            bind_address: Ipv4Addr::LOCALHOST.into(),
            secure_port: Some(0),
            tls_cert_file: None,
            tls_private_key_file: None,
            authorization_always_allow_paths: Vec::new(),
            leader_elect: false,
            leader_elect_lease_duration: Duration::ZERO,
            leader_elect_renew_deadline: Duration::ZERO,
            leader_elect_retry_period: Duration::ZERO,
            leader_elect_resource_name: None,
            leader_elect_resource_namespace: String::new(),
        }
    }
}

/// Durations as Go writes them: `1h30m`, `90s`, `500ms`, `0`.
///
/// # Errors
/// Says what it is not.
pub fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    parsed
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| format!("{text:?} is not a duration such as 90s, 5m or 1h30m"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Own {
        #[command(flatten)]
        flags: Flags,
    }

    #[test]
    fn flags_are_upstreams() {
        let own = Own::try_parse_from([
            "test",
            "--master=https://a:6443,https://b:6443",
            "--leader-elect=false",
            "--leader-elect-lease-duration=1m",
        ]);
        let flags = own.expect("they are").flags;
        assert_eq!(flags.master.len(), 2);
        assert!(!flags.leader_elect);
        assert_eq!(flags.leader_elect_lease_duration, Duration::from_secs(60));
        assert_eq!(flags.leader_elect_renew_deadline, Duration::from_secs(10));
        assert_eq!(flags.authorization_always_allow_paths.len(), 3);
    }

    #[test]
    fn durations_are_gos() {
        let cases = [
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("250ms", 250),
            ("0", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "1d", "-1s", "99999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
