//! A pod's `/etc/hosts`.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use k8s_openapi::api::core::v1::{HostAlias, Pod};

use crate::spec::Hostname;

const LOCAL: &str = "127.0.0.1\tlocalhost\n\
                     ::1\tlocalhost ip6-localhost ip6-loopback\n\
                     fe00::0\tip6-localnet\n\
                     fe00::0\tip6-mcastprefix\n\
                     fe00::1\tip6-allnodes\n\
                     fe00::2\tip6-allrouters\n";

/// The file of a pod with addresses of its own.
fn managed(ips: &[String], name: &Hostname, aliases: &[HostAlias]) -> String {
    let mut text = format!("# Kubernetes-managed hosts file.\n{LOCAL}");
    for ip in ips {
        let (short, domain) = (&name.short, &name.domain);
        match domain.is_empty() {
            true => text.push_str(&format!("{ip}\t{short}\n")),
            false => text.push_str(&format!("{ip}\t{short}.{domain}\t{short}\n")),
        }
    }
    text + &added(aliases)
}

/// The node's file, for a pod on the node's network.
fn of_node(node: &str, aliases: &[HostAlias]) -> String {
    format!(
        "# Kubernetes-managed hosts file (host network).\n{node}{}",
        added(aliases)
    )
}

fn added(aliases: &[HostAlias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    let mut text = "\n# Entries added by HostAliases.\n".to_owned();
    for alias in aliases {
        let names = alias
            .hostnames
            .iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>();
        text.push_str(&format!("{}\t{}\n", alias.ip, names.join("\t")));
    }
    text
}

/// Writes a pod's file in place, so that containers which have it mounted see it.
///
/// # Errors
/// If the node's file cannot be read or the pod's not written.
pub(super) fn write(
    path: &Path,
    pod: &Pod,
    ips: &[String],
    name: &Hostname,
    node: &Path,
) -> io::Result<()> {
    let spec = pod.spec.as_ref();
    let aliases = spec
        .and_then(|spec| spec.host_aliases.as_deref())
        .unwrap_or_default();
    let text = match spec.and_then(|spec| spec.host_network) {
        Some(true) => of_node(&fs::read_to_string(node)?, aliases),
        _ => managed(ips, name, aliases),
    };
    fs::write(path, text)?;
    fs::set_permissions(path, Permissions::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::pod;

    #[test]
    fn a_pod_finds_itself_and_its_aliases() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let node = folder.path().join("node");
        fs::write(&node, "192.0.2.1 node\n").expect("written");
        let path = folder.path().join("hosts");
        let written = |spec: &str, ips: &[&str]| {
            let pod = pod(spec);
            let name = Hostname::of(&pod, "cluster.local").expect("valid");
            let ips: Vec<_> = ips.iter().map(|ip| (*ip).to_owned()).collect();
            write(&path, &pod, &ips, &name, &node).expect("written");
            fs::read_to_string(&path).expect("there")
        };
        let head = format!("# Kubernetes-managed hosts file.\n{LOCAL}");
        assert_eq!(
            written("{containers: []}", &["10.1.0.1", "fd00::1"]),
            format!("{head}10.1.0.1\tp\nfd00::1\tp\n")
        );
        assert_eq!(
            written(
                "{hostname: h, subdomain: s, containers: [], hostAliases: [{ip: 1.2.3.4, hostnames: [a, b]}]}",
                &["10.1.0.1"]
            ),
            format!(
                "{head}10.1.0.1\th.s.ns.svc.cluster.local\th\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"
            )
        );
        assert_eq!(
            written("{hostNetwork: true, containers: []}", &["192.0.2.1"]),
            "# Kubernetes-managed hosts file (host network).\n192.0.2.1 node\n"
        );
    }
}
