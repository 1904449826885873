//! What flags and file come to.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Taint;

use super::certificates::CertificateOptions;
use super::file::ConfigFile;
use super::flags::Flags;
use super::manifests::ManifestOptions;
use crate::cgroups::Driver;
use crate::node::{Reserved, Taints};
use crate::server::ServerOptions;

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Options {
    pub flags: Flags,
    pub labels: BTreeMap<String, String>,
    pub taints: Taints,
    pub endpoint: String,
    pub root: PathBuf,
    pub logs: PathBuf,
    pub manifests: ManifestOptions,
    pub certificates: CertificateOptions,
    pub cluster_dns: Vec<IpAddr>,
    pub cluster_domain: String,
    pub resolv_conf: String,
    pub cgroup_driver: Driver,
    pub cgroup_root: String,
    pub pids_max: Option<i64>,
    pub pods_max: u32,
    pub reserved: Reserved,
    pub pulls: usize,
    pub seccomp_default: bool,
    pub cpu_quota: bool,
    pub healthz: (IpAddr, u16),
    pub port: u16,
    pub provider_id: Option<String>,
    /// Percent of the images' disk above which images go, and down to which.
    pub image_gc: (u64, u64),
    /// Bytes of a container's log before it is rotated, and how many files are kept.
    pub log_size: u64,
    pub log_files: usize,
    /// What the kubelet's API asks of who asks it.
    pub server: ServerOptions,
}

/// What is wrong with a flag or the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OptionsError(String);

impl Options {
    /// Flags count before the file.
    ///
    /// # Errors
    /// Says what cannot be.
    pub fn of(flags: Flags) -> Result<Self, OptionsError> {
        let file = match &flags.config {
            Some(path) => ConfigFile::read(path).map_err(OptionsError)?,
            None => ConfigFile::default(),
        };
        Self::from(flags, file).map_err(OptionsError)
    }

    fn from(flags: Flags, file: ConfigFile) -> Result<Self, String> {
        let flag = flags.clone();
        let root = flag.root_dir.clone();
        let root = root.unwrap_or_else(|| "/var/lib/kubelet".into());
        let certificates = CertificateOptions::of(&flags, &file, &root);
        let manifests = ManifestOptions::of(&flags, &file)?;
        let list = |flag: Vec<IpAddr>, file: Vec<IpAddr>| match flag.is_empty() {
            true => file,
            false => flag,
        };
        let taints = match flag.register_with_taints.as_slice() {
            [] => file.register_with_taints,
            texts => texts
                .iter()
                .map(|text| taint(text))
                .collect::<Result<_, _>>()?,
        };
        let system = reserved(&flag.system_reserved, &file.system_reserved)?;
        let kube = reserved(&flag.kube_reserved, &file.kube_reserved)?;
        let serial = flag.serialize_image_pulls.or(file.serialize_image_pulls);
        let any = IpAddr::from(Ipv4Addr::LOCALHOST);
        let size = file.container_log_max_size.as_deref().unwrap_or("10Mi");
        let image_gc = (
            file.image_gc_high.unwrap_or(85),
            file.image_gc_low.unwrap_or(80),
        );
        if image_gc.0 > 100 || image_gc.1 >= image_gc.0 {
            return Err("imageGCLowThresholdPercent must be below imageGCHighThresholdPercent, and both at most 100".to_owned());
        }
        let log_files = file.container_log_max_files.unwrap_or(5);
        if log_files < 2 {
            return Err("containerLogMaxFiles must be at least 2".to_owned());
        }
        Ok(Self {
            labels: labels(&flag.node_labels)?,
            taints,
            endpoint: flag
                .container_runtime_endpoint
                .or(file.container_runtime_endpoint)
                .unwrap_or_else(|| "unix:///run/containerd/containerd.sock".to_owned()),
            root,
            logs: flag
                .pod_logs_dir
                .or(file.pod_logs_dir)
                .unwrap_or_else(|| "/var/log/pods".into()),
            manifests,
            certificates,
            cluster_dns: list(flag.cluster_dns, file.cluster_dns),
            cluster_domain: flag
                .cluster_domain
                .or(file.cluster_domain)
                .unwrap_or_default(),
            resolv_conf: flag
                .resolv_conf
                .or(file.resolv_conf)
                .unwrap_or_else(|| "/etc/resolv.conf".to_owned()),
            cgroup_driver: driver(flag.cgroup_driver.or(file.cgroup_driver).as_deref())?,
            cgroup_root: flag.cgroup_root.or(file.cgroup_root).unwrap_or_default(),
            pids_max: flag
                .pod_max_pids
                .or(file.pod_pids_limit)
                .filter(|count| *count > 0),
            pods_max: flag.max_pods.or(file.max_pods).unwrap_or(110),
            reserved: Reserved {
                milli_cpus: system.milli_cpus.saturating_add(kube.milli_cpus),
                memory: system.memory.saturating_add(kube.memory),
                disk: system.disk.saturating_add(kube.disk),
            },
            pulls: match serial.unwrap_or(true) {
                true => 1,
                false => file.max_parallel_image_pulls.unwrap_or(PULLS),
            },
            seccomp_default: flag
                .seccomp_default
                .or(file.seccomp_default)
                .unwrap_or(false),
            cpu_quota: flag.cpu_cfs_quota.or(file.cpu_cfs_quota).unwrap_or(true),
            healthz: (
                flag.healthz_bind_address
                    .or(file.healthz_bind_address)
                    .unwrap_or(any),
                flag.healthz_port.or(file.healthz_port).unwrap_or(10248),
            ),
            port: flag.port.or(file.port).unwrap_or(10250),
            provider_id: flag.provider_id.or(file.provider_id),
            image_gc,
            log_size: amount(size)?,
            log_files,
            server: ServerOptions::of(&flags.server, &file.server, flags.config.is_some())?,
            flags,
        })
    }
}

/// Images that are pulled at a time, if not one after the other and the file has no limit.
const PULLS: usize = 8;

fn driver(name: Option<&str>) -> Result<Driver, String> {
    match name {
        None | Some("" | "cgroupfs") => Ok(Driver::Cgroupfs),
        Some("systemd") => Ok(Driver::Systemd),
        Some(other) => Err(format!(
            "cgroup driver {other:?}: it is cgroupfs or systemd"
        )),
    }
}

fn labels(texts: &[String]) -> Result<BTreeMap<String, String>, String> {
    let pairs = texts.iter().filter(|text| !text.is_empty());
    pairs
        .map(|text| match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(format!("{text:?} is no label such as a=b")),
        })
        .collect()
}

/// `key=value:effect` or `key:effect`.
fn taint(text: &str) -> Result<Taint, String> {
    let wrong = || format!("{text:?} is no taint such as key=value:NoSchedule");
    let (what, effect) = text.rsplit_once(':').ok_or_else(wrong)?;
    let (key, value) = what.split_once('=').unwrap_or((what, ""));
    let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect);
    if key.is_empty() || !known {
        return Err(wrong());
    }
    Ok(Taint {
        key: key.to_owned(),
        value: (!value.is_empty()).then(|| value.to_owned()),
        effect: effect.to_owned(),
        time_added: None,
    })
}

fn reserved(flag: &[String], file: &BTreeMap<String, String>) -> Result<Reserved, String> {
    let given = match flag {
        [] => file.clone(),
        texts => labels(texts)?,
    };
    let mut kept = Reserved::default();
    for (name, text) in given {
        match name.as_str() {
            "cpu" => kept.milli_cpus = milli(&text)?,
            "memory" => kept.memory = amount(&text)?,
            "ephemeral-storage" => kept.disk = amount(&text)?,
            _ => return Err(format!("{name:?} cannot be reserved")),
        }
    }
    Ok(kept)
}

fn milli(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no number of CPUs such as 500m or 2");
    match text.strip_suffix('m') {
        Some(number) => number.parse().map_err(|_| wrong()),
        None => {
            let whole: u64 = text.parse().map_err(|_| wrong())?;
            whole.checked_mul(1000).ok_or_else(wrong)
        }
    }
}

/// Bytes, as `10Mi`, `1G` or a number.
fn amount(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 8] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
    ];
    let wrong = || format!("{text:?} is no amount such as 10Mi");
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
    let (number, factor) = match unit {
        Some((unit, factor)) => (&text[..text.len() - unit.len()], *factor),
        None => (text, 1),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn options(more: &[&str], file: &str) -> Result<Options, String> {
        let args = ["kubelet", "--kubeconfig=/k"]
            .into_iter()
            .chain(more.iter().copied());
        let flags = Flags::try_parse_from(args).map_err(|error| error.to_string())?;
        Options::from(flags, serde_yaml_ng::from_str(file).expect("YAML"))
    }

    #[test]
    fn flags_count_before_the_file() {
        let file = "{maxPods: 5, clusterDNS: [10.0.0.10], kubeReserved: {cpu: 100m, memory: 1Gi}}";
        let made = options(&["--max-pods=7", "--node-labels=a=b,c=", "--v=4"], file).expect("fine");
        assert_eq!(made.pods_max, 7);
        assert_eq!(made.cluster_dns.len(), 1);
        assert_eq!(made.labels["a"], "b");
        assert_eq!(made.reserved.milli_cpus, 100);
        assert_eq!(made.reserved.memory, 1 << 30);
        assert_eq!((made.log_size, made.log_files), (10 << 20, 5));
        assert_eq!(made.endpoint, "unix:///run/containerd/containerd.sock");
    }

    #[test]
    fn taints_are_read() {
        let made = options(&["--register-with-taints=a=b:NoSchedule,c:NoExecute"], "{}");
        let taints = made.expect("fine").taints;
        assert_eq!(
            (taints[0].key.as_str(), taints[0].value.as_deref()),
            ("a", Some("b"))
        );
        assert_eq!(
            (taints[1].key.as_str(), taints[1].effect.as_str()),
            ("c", "NoExecute")
        );
    }

    #[test]
    fn certificates_are_kept_in_the_kubelets_folder() {
        let made = |flags: &[&str], file| options(flags, file).expect("fine").certificates;
        let plain = made(&["--bootstrap-kubeconfig="], "{}");
        assert_eq!(plain.folder, std::path::Path::new("/var/lib/kubelet/pki"));
        assert!(plain.bootstrap.is_none() && !plain.rotate && !plain.rotate_serving);
        let flags = [
            "--root-dir=/r",
            "--rotate-certificates=false",
            "--bootstrap-kubeconfig=/b",
        ];
        let file = "{rotateCertificates: true, serverTLSBootstrap: true}";
        let made = made(&flags, file);
        assert_eq!(made.folder, std::path::Path::new("/r/pki"));
        assert!(made.bootstrap.is_some() && !made.rotate && made.rotate_serving);
    }

    #[test]
    fn static_pods_come_from_a_folder_and_a_server() {
        let file = "{staticPodPath: /m, staticPodURL: 'http://a:8/p', httpCheckFrequency: 5s, fileCheckFrequency: 0s, \
                    staticPodURLHeader: {X-A: [b, c]}}";
        let made = options(&[], file).expect("fine").manifests;
        assert_eq!(made.folder.as_deref(), Some(std::path::Path::new("/m")));
        assert_eq!(
            (made.folder_interval.as_secs(), made.url_interval.as_secs()),
            (20, 5)
        );
        assert_eq!(
            made.url.map(|url| url.to_string()).as_deref(),
            Some("http://a:8/p")
        );
        assert_eq!(made.headers.len(), 2);
        let flags = [
            "--manifest-url-header=a:hello,b:x:y",
            "--manifest-url-header=b:c",
        ];
        let made = options(&flags, file).expect("fine").manifests;
        let values: Vec<_> = made
            .headers
            .iter()
            .map(|(_, value)| value.as_bytes())
            .collect();
        assert_eq!(values, [&b"hello"[..], b"x:y", b"c"]);
        assert!(!format!("{:?}", made.headers).contains("hello"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let cases = [
            "--manifest-url=example",
            "--manifest-url-header=a",
            "--http-check-frequency=0",
            "--file-check-frequency=x",
            "--register-with-taints=a=b",
            "--register-with-taints=a=b:Never",
            "--node-labels=a",
            "--kube-reserved=cpu=x",
            "--kube-reserved=cpu=99999999999999999999",
            "--system-reserved=memory=99999999999Ti",
            "--system-reserved=pods=1",
        ];
        for flag in cases {
            assert!(options(&[flag], "{}").is_err(), "{flag}");
        }
        assert!(options(&[], "{imageGCHighThresholdPercent: 80}").is_err());
    }
}
