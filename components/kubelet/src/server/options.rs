//! Flags and fields of the configuration file for this API, under upstream's names.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;
use serde::Deserialize;

use super::reviews::Lives;
use super::serving::PairFiles;

/// Flags.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerFlags {
    /// Address of the kubelet's API. Default: all.
    #[arg(long)]
    pub address: Option<IpAddr>,
    /// Whether there is an API at all. Default: yes.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub enable_server: Option<bool>,
    /// Whether it has logs, exec, attach and port forwarding. Default: yes.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub enable_debugging_handlers: Option<bool>,
    /// Authorities whose client certificates name users.
    #[arg(long)]
    pub client_ca_file: Option<PathBuf>,
    /// Whether who shows nothing is system:anonymous. Default: yes without --config, no with it.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub anonymous_auth: Option<bool>,
    /// Whether the apiserver is asked whose a token is. Default: no without --config, yes with it.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub authentication_token_webhook: Option<bool>,
    /// How long its answer counts. Default: 2m0s.
    #[arg(long)]
    pub authentication_token_webhook_cache_ttl: Option<String>,
    /// AlwaysAllow, or Webhook to ask the apiserver. Default: AlwaysAllow without --config, Webhook with it.
    #[arg(long)]
    pub authorization_mode: Option<String>,
    /// How long a yes counts. Default: 5m0s.
    #[arg(long)]
    pub authorization_webhook_cache_authorized_ttl: Option<String>,
    /// How long a no counts. Default: 30s.
    #[arg(long)]
    pub authorization_webhook_cache_unauthorized_ttl: Option<String>,
    /// Certificate to serve with, and its chain. Default: one that the kubelet makes for itself.
    #[arg(long)]
    pub tls_cert_file: Option<PathBuf>,
    /// Its key.
    #[arg(long)]
    pub tls_private_key_file: Option<PathBuf>,
    /// Oldest TLS: VersionTLS12 or VersionTLS13.
    #[arg(long)]
    pub tls_min_version: Option<String>,
    /// How long a stream may be silent. Default: 4h0m0s.
    #[arg(long)]
    pub streaming_connection_idle_timeout: Option<String>,
}

/// Fields of the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServerFields {
    pub address: Option<IpAddr>,
    pub enable_server: Option<bool>,
    pub enable_debugging_handlers: Option<bool>,
    pub enable_system_log_handler: Option<bool>,
    pub authentication: Authentication,
    pub authorization: Authorization,
    pub tls_cert_file: Option<PathBuf>,
    pub tls_private_key_file: Option<PathBuf>,
    pub tls_min_version: Option<String>,
    pub streaming_connection_idle_timeout: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Authentication {
    pub x509: X509,
    pub webhook: TokenWebhook,
    pub anonymous: Anonymous,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct X509 {
    #[serde(rename = "clientCAFile")]
    pub client_ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TokenWebhook {
    pub enabled: Option<bool>,
    #[serde(rename = "cacheTTL")]
    pub cache_ttl: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Anonymous {
    pub enabled: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Authorization {
    pub mode: Option<String>,
    pub webhook: RightsWebhook,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RightsWebhook {
    #[serde(rename = "cacheAuthorizedTTL")]
    pub cache_authorized_ttl: Option<String>,
    #[serde(rename = "cacheUnauthorizedTTL")]
    pub cache_unauthorized_ttl: Option<String>,
}

/// What flags and file come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    pub enabled: bool,
    pub address: IpAddr,
    pub debugging: bool,
    /// Whether the node's own logs can be read.
    pub node_logs: bool,
    pub client_ca: Option<PathBuf>,
    pub anonymous: bool,
    pub tokens: bool,
    pub always_allow: bool,
    pub lives: Lives,
    pub only_tls_13: bool,
    pub idle: Duration,
    /// The serving certificate, where it was brought.
    pub pair: Option<PairFiles>,
}

impl ServerOptions {
    /// Flags count before the file. Without a file (`has_file`) upstream's defaults are those of long ago.
    ///
    /// # Errors
    /// Says what cannot be.
    pub fn of(flags: &ServerFlags, file: &ServerFields, has_file: bool) -> Result<Self, String> {
        let authentication = &file.authentication;
        let webhook = &file.authorization.webhook;
        let either = |flag: &Option<String>, file: &Option<String>| flag.clone().or(file.clone());
        let time = |flag: &Option<String>, file: &Option<String>, seconds| {
            duration(either(flag, file).as_deref(), Duration::from_secs(seconds))
        };
        let mode = either(&flags.authorization_mode, &file.authorization.mode);
        let always_allow = match mode.as_deref() {
            None | Some("") => !has_file,
            Some("AlwaysAllow") => true,
            Some("Webhook") => false,
            Some(other) => return Err(format!("unknown authorization mode {other}")),
        };
        let version = either(&flags.tls_min_version, &file.tls_min_version);
        let only_tls_13 = match version.as_deref() {
            None | Some("" | "VersionTLS12") => false,
            Some("VersionTLS13") => true,
            Some(other) => {
                return Err(format!(
                    "TLS version {other:?}: it is VersionTLS12 or VersionTLS13"
                ));
            }
        };
        let client_ca = flags.client_ca_file.clone();
        let client_ca = client_ca.or_else(|| authentication.x509.client_ca_file.clone());
        Ok(Self {
            enabled: flags.enable_server.or(file.enable_server).unwrap_or(true),
            address: flags
                .address
                .or(file.address)
                .unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
            debugging: flags
                .enable_debugging_handlers
                .or(file.enable_debugging_handlers)
                .unwrap_or(true),
            node_logs: file.enable_system_log_handler.unwrap_or(true),
            client_ca: client_ca.filter(|path| path != Path::new("")),
            anonymous: flags
                .anonymous_auth
                .or(authentication.anonymous.enabled)
                .unwrap_or(!has_file),
            tokens: flags
                .authentication_token_webhook
                .or(authentication.webhook.enabled)
                .unwrap_or(has_file),
            always_allow,
            lives: Lives {
                token: time(
                    &flags.authentication_token_webhook_cache_ttl,
                    &authentication.webhook.cache_ttl,
                    120,
                )?,
                allowed: time(
                    &flags.authorization_webhook_cache_authorized_ttl,
                    &webhook.cache_authorized_ttl,
                    300,
                )?,
                denied: time(
                    &flags.authorization_webhook_cache_unauthorized_ttl,
                    &webhook.cache_unauthorized_ttl,
                    30,
                )?,
            },
            only_tls_13,
            idle: time(
                &flags.streaming_connection_idle_timeout,
                &file.streaming_connection_idle_timeout,
                4 * 3600,
            )?,
            pair: pair(flags, file)?,
        })
    }
}

fn pair(flags: &ServerFlags, file: &ServerFields) -> Result<Option<PairFiles>, String> {
    let set = |flag: &Option<PathBuf>, file: &Option<PathBuf>| {
        let path = flag.clone().or(file.clone());
        path.filter(|path| path != Path::new(""))
    };
    let certificate = set(&flags.tls_cert_file, &file.tls_cert_file);
    let key = set(&flags.tls_private_key_file, &file.tls_private_key_file);
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(PairFiles { certificate, key })),
        (None, None) => Ok(None),
        _ => Err("--tls-cert-file and --tls-private-key-file belong together".to_owned()),
    }
}

/// As Go writes it, `1h30m0s`; nothing at all is the default, as is none.
fn duration(text: Option<&str>, default: Duration) -> Result<Duration, String> {
    let wrong = |text: &str| format!("{text:?} is no duration such as 2m0s");
    match text {
        None | Some("" | "0" | "0s") => Ok(default),
        Some(text) => {
            let parsed: SignedDuration = text.parse().map_err(|_| wrong(text))?;
            Duration::try_from(parsed).map_err(|_| wrong(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(flags: &ServerFlags, file: &str, has_file: bool) -> Result<ServerOptions, String> {
        let file = serde_yaml_ng::from_str(file).expect("YAML");
        ServerOptions::of(flags, &file, has_file)
    }

    #[test]
    fn defaults_are_upstreams_with_and_without_a_file() {
        let none = ServerFlags::default();
        let old = of(&none, "{}", false).expect("fine");
        assert!(old.anonymous && old.always_allow && !old.tokens);
        let new = of(&none, "{}", true).expect("fine");
        assert!(!new.anonymous && !new.always_allow && new.tokens);
        assert_eq!(new.lives.token, Duration::from_secs(120));
        assert_eq!(new.lives.allowed, Duration::from_secs(300));
        assert_eq!(new.lives.denied, Duration::from_secs(30));
        assert_eq!(new.idle, Duration::from_secs(4 * 3600));
        assert_eq!(new.address, IpAddr::from([0, 0, 0, 0]));
    }

    #[test]
    fn flags_count_before_the_file() {
        let file = "{address: 127.0.0.1, tlsMinVersion: VersionTLS13,
            streamingConnectionIdleTimeout: 1h30m0s,
            authentication: {x509: {clientCAFile: /ca}, anonymous: {enabled: true}, webhook: {enabled: false, cacheTTL: 10s}},
            authorization: {mode: Webhook, webhook: {cacheAuthorizedTTL: 1m, cacheUnauthorizedTTL: 500ms}}}";
        let read = of(&ServerFlags::default(), file, true).expect("fine");
        assert!(read.anonymous && !read.tokens && !read.always_allow && read.only_tls_13);
        assert_eq!(read.client_ca.as_deref(), Some(Path::new("/ca")));
        assert_eq!(read.idle, Duration::from_secs(5400));
        assert_eq!(read.lives.denied, Duration::from_millis(500));
        let flags = ServerFlags {
            anonymous_auth: Some(false),
            authorization_mode: Some("AlwaysAllow".to_owned()),
            client_ca_file: Some("/other".into()),
            ..ServerFlags::default()
        };
        let read = of(&flags, file, true).expect("fine");
        assert!(!read.anonymous && read.always_allow);
        assert_eq!(read.client_ca.as_deref(), Some(Path::new("/other")));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let none = ServerFlags::default();
        for file in [
            "{authorization: {mode: RBAC}}",
            "{tlsMinVersion: VersionTLS10}",
            "{tlsCertFile: /a.crt}",
            "{streamingConnectionIdleTimeout: soon}",
            "{streamingConnectionIdleTimeout: -1s}",
        ] {
            assert!(of(&none, file, true).is_err(), "{file}");
        }
    }
}
