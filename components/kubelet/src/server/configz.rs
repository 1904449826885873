//! What `/configz` shows: how this kubelet is set up, as a KubeletConfiguration.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::cgroups::Driver;
use crate::config::Options;

/// All that is read of a KubeletConfiguration, as it is in effect.
#[must_use]
pub fn shown(options: &Options) -> Value {
    let server = &options.server;
    let mode = match server.always_allow {
        true => "AlwaysAllow",
        false => "Webhook",
    };
    let driver = match options.cgroup_driver {
        Driver::Cgroupfs => "cgroupfs",
        Driver::Systemd => "systemd",
    };
    let pair = server.pair.as_ref();
    let mut shown = json!({
        "enableServer": server.enabled,
        "podLogsDir": options.logs,
        "address": server.address,
        "port": options.port,
        "tlsCertFile": pair.map(|pair| &pair.certificate),
        "tlsPrivateKeyFile": pair.map(|pair| &pair.key),
        "tlsMinVersion": if server.only_tls_13 { "VersionTLS13" } else { "VersionTLS12" },
        "authentication": {
            "x509": {"clientCAFile": server.client_ca},
            "webhook": {"enabled": server.tokens, "cacheTTL": words(server.lives.token)},
            "anonymous": {"enabled": server.anonymous},
        },
        "authorization": {
            "mode": mode,
            "webhook": {
                "cacheAuthorizedTTL": words(server.lives.allowed),
                "cacheUnauthorizedTTL": words(server.lives.denied),
            },
        },
        "enableDebuggingHandlers": server.debugging,
        "enableSystemLogHandler": server.node_logs,
        "streamingConnectionIdleTimeout": words(server.idle),
        "healthzBindAddress": options.healthz.0,
        "healthzPort": options.healthz.1,
        "clusterDNS": options.cluster_dns,
        "clusterDomain": options.cluster_domain,
        "resolvConf": options.resolv_conf,
        "cgroupDriver": driver,
        "cgroupRoot": options.cgroup_root,
        "podPidsLimit": options.pids_max.unwrap_or(-1),
        "maxPods": options.pods_max,
        "cpuCFSQuota": options.cpu_quota,
        "seccompDefault": options.seccomp_default,
        "serializeImagePulls": options.pulls == 1,
        "maxParallelImagePulls": options.pulls,
        "imageGCHighThresholdPercent": options.image_gc.0,
        "imageGCLowThresholdPercent": options.image_gc.1,
        "containerLogMaxSize": options.log_size.to_string(),
        "containerLogMaxFiles": options.log_files,
        "containerRuntimeEndpoint": options.endpoint,
        "registerWithTaints": options.taints,
        "registerNode": true,
        "providerID": options.provider_id,
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
    });
    let (pods, certificates) = (&options.manifests, &options.certificates);
    // Headers for the URL may be secret.
    for (name, value) in [
        ("staticPodPath", json!(pods.folder)),
        (
            "staticPodURL",
            json!(pods.url.as_ref().map(ToString::to_string)),
        ),
        ("fileCheckFrequency", json!(words(pods.folder_interval))),
        ("httpCheckFrequency", json!(words(pods.url_interval))),
        ("rotateCertificates", json!(certificates.rotate)),
        ("serverTLSBootstrap", json!(certificates.rotate_serving)),
    ] {
        shown[name] = value;
    }
    json!({"kubeletconfig": shown})
}

/// As Go writes durations.
fn words(time: Duration) -> String {
    let seconds = SignedDuration::try_from(time).map_or(0, |time| time.as_secs());
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, _) => format!("{}s", time.as_secs_f64()),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}
