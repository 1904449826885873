//! What a pod is called within itself.

use k8s_openapi::api::core::v1::Pod;

use super::error::ConfigError;

/// Bytes of a host name, which Linux holds in 64 with the last being zero.
const HOSTNAME_MAX: usize = 63;
/// Bytes of a fully qualified name as host name: what Linux holds.
const FQDN_MAX: usize = 64;

/// The names of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostname {
    /// Without the domain.
    pub short: String,
    /// Empty unless the pod has a subdomain.
    pub domain: String,
    /// What the kernel is told: the short name, or the full one where `setHostnameAsFQDN` asks for it.
    pub kernel: String,
}

impl Hostname {
    /// By the rules of the API: `hostnameOverride`, else `hostname`, else the pod's name, cut to what Linux holds.
    ///
    /// # Errors
    /// If the full name is to be the host name and too long, or a name is no DNS name.
    pub fn of(pod: &Pod, cluster_domain: &str) -> Result<Self, ConfigError> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let spec = pod.spec.as_ref();
        if let Some(own) = spec.and_then(|spec| spec.hostname_override.as_deref()) {
            if !own.split('.').all(is_label) {
                return Err(ConfigError::new(format!(
                    "pod HostnameOverride {own:?} is not a valid DNS subdomain"
                )));
            }
            let short = cut(name, own)?;
            return Ok(Self {
                kernel: short.clone(),
                short,
                domain: String::new(),
            });
        }
        let wanted = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
        let own = wanted(spec.and_then(|spec| spec.hostname.as_ref()));
        let subdomain = wanted(spec.and_then(|spec| spec.subdomain.as_ref()));
        for (what, text) in [("Hostname", &own), ("Subdomain", &subdomain)] {
            if let Some(text) = text.as_ref().filter(|text| !is_label(text)) {
                return Err(ConfigError::new(format!(
                    "pod {what} {text:?} is not a valid DNS label"
                )));
            }
        }
        let short = cut(name, own.as_deref().unwrap_or(name))?;
        let domain = subdomain
            .map(|subdomain| format!("{subdomain}.{namespace}.svc.{cluster_domain}"))
            .unwrap_or_default();
        let mut kernel = short.clone();
        let full = spec.and_then(|spec| spec.set_hostname_as_fqdn) == Some(true);
        if full && !domain.is_empty() {
            kernel = format!("{short}.{domain}");
            if kernel.len() > FQDN_MAX {
                return Err(ConfigError::new(format!(
                    "failed to construct FQDN from pod hostname and cluster domain, FQDN {kernel} is too long \
                     ({FQDN_MAX} characters is the max, {} characters requested)",
                    kernel.len()
                )));
            }
        }
        Ok(Self {
            short,
            domain,
            kernel,
        })
    }
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=HOSTNAME_MAX).contains(&bytes.len())
        && bytes.iter().all(|byte| inner(*byte) || *byte == b'-')
        && inner(bytes[0])
        && inner(bytes[bytes.len() - 1])
}

fn cut(pod: &str, name: &str) -> Result<String, ConfigError> {
    if name.len() <= HOSTNAME_MAX {
        return Ok(name.to_owned());
    }
    let cut = name.get(..HOSTNAME_MAX).unwrap_or_default();
    let cut = cut.trim_end_matches(['-', '.']);
    if cut.is_empty() {
        let why = format!("hostname for pod {pod:?} was invalid: {name:?}");
        return Err(ConfigError::new(why));
    }
    Ok(cut.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::pod;

    #[test]
    fn names() {
        for (spec, short, domain, kernel) in [
            ("{containers: []}", "p", "", "p"),
            ("{containers: [], hostname: h}", "h", "", "h"),
            (
                "{containers: [], subdomain: s}",
                "p",
                "s.ns.svc.cluster.local",
                "p",
            ),
            (
                "{containers: [], hostname: h, subdomain: s, setHostnameAsFQDN: true}",
                "h",
                "s.ns.svc.cluster.local",
                "h.s.ns.svc.cluster.local",
            ),
            ("{containers: [], setHostnameAsFQDN: true}", "p", "", "p"),
            (
                "{containers: [], hostname: h, subdomain: s, hostnameOverride: o.x}",
                "o.x",
                "",
                "o.x",
            ),
        ] {
            let name = Hostname::of(&pod(spec), "cluster.local").expect("valid");
            assert_eq!(name.short, short, "{spec}");
            assert_eq!(name.domain, domain, "{spec}");
            assert_eq!(name.kernel, kernel, "{spec}");
        }
    }

    #[test]
    fn what_linux_cannot_hold_is_cut_or_refused() {
        let mut long = pod("{containers: []}");
        long.metadata.name = Some(format!("{}.-x", "a".repeat(61)));
        let name = Hostname::of(&long, "cluster.local").expect("valid");
        assert_eq!(name.short, "a".repeat(61));
        let spec = format!(
            "{{containers: [], hostname: h, subdomain: {}, setHostnameAsFQDN: true}}",
            "s".repeat(60)
        );
        let why = Hostname::of(&pod(&spec), "cluster.local").expect_err("too long");
        assert!(
            why.to_string()
                .contains("is too long (64 characters is the max, 83 "),
            "{why}"
        );
        let bad = pod("{containers: [], hostname: A_b}");
        assert!(Hostname::of(&bad, "x").is_err());
    }
}
