//! What a container finds mounted: volumes, `/etc/hosts`, its termination log.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume, VolumeMount};
use mainstay_cri::{Mount, MountPropagation};

use super::hosts_file;
use super::sources::Plugin;
use super::sub_path::{mount_open, open_within};
use crate::spec::{ConfigError, Environment, Hostname, NodeFacts, expand};

const HOSTS: &str = "/etc/hosts";

/// Mounts of a container, for the runtime. Its pod's volumes must be there. Makes what the mounts lead to: parts of
/// volumes, the files of hosts and last words.
///
/// # Errors
/// If there is no such volume, or a part of one leads out of it.
pub(super) fn container_mounts(
    pod: &Pod,
    container: &Container,
    environment: &Environment,
    pod_ips: &[String],
    node: &NodeFacts,
) -> Result<Vec<Mount>, ConfigError> {
    let default = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&default);
    let mut mounts = Vec::new();
    for (at, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let place = Place {
            pod,
            container,
            at,
            node,
        };
        mounts.push(place.volume_mount(spec, mount, environment)?);
    }
    let has_own = mounts.iter().any(|mount| mount.container_path == HOSTS);
    let known = !pod_ips.is_empty() || spec.host_network == Some(true);
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    if known && !has_own {
        let path = node.layout.hosts(uid);
        let name = Hostname::of(pod, &node.cluster_domain)?;
        // A pod without volumes has no folder yet.
        private_folder(&node.layout.pod(uid))
            .and_then(|()| hosts_file::write(&path, pod, pod_ips, &name, &node.hosts))
            .map_err(|error| ConfigError::new(format!("writing {}: {error}", path.display())))?;
        mounts.push(plain(&path, HOSTS));
    }
    let last_words = container
        .termination_message_path
        .as_deref()
        .unwrap_or_default();
    if !last_words.is_empty() {
        let folder = node.layout.container(uid, &container.name);
        let path = termination_log(&folder)
            .map_err(|error| ConfigError::new(format!("{}: {error}", folder.display())))?;
        mounts.push(plain(&path, last_words));
    }
    Ok(mounts)
}

fn plain(host: &Path, container: &str) -> Mount {
    Mount {
        host_path: host.display().to_string(),
        container_path: absolute(container),
        ..Mount::default()
    }
}

fn absolute(path: &str) -> String {
    match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    }
}

/// Nobody but the node looks around in it.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(path)
}

/// A file for one instance of a container, which anybody in it may write.
fn termination_log(folder: &Path) -> io::Result<PathBuf> {
    private_folder(folder)?;
    let path = folder.join(format!("{:08x}", rand::random::<u32>()));
    File::create(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o666))?;
    Ok(path)
}

/// The folder of a volume that is mounted.
pub(super) fn volume_path(pod: &Pod, volume: &Volume, node: &NodeFacts) -> Option<PathBuf> {
    let plugin = Plugin::of(volume)?;
    if let Some(source) = &volume.host_path {
        return Some(PathBuf::from(&source.path));
    }
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    Some(node.layout.volume(uid, plugin.name(), &volume.name))
}

/// Where a mount is: the `at`-th of a container.
#[derive(Clone, Copy)]
struct Place<'a> {
    pod: &'a Pod,
    container: &'a Container,
    at: usize,
    node: &'a NodeFacts,
}

impl Place<'_> {
    fn volume_mount(
        self,
        spec: &PodSpec,
        mount: &VolumeMount,
        environment: &Environment,
    ) -> Result<Mount, ConfigError> {
        let name = &self.container.name;
        let found = spec.volumes.iter().flatten().find(|v| v.name == mount.name);
        let found = found.and_then(|v| Some((v, volume_path(self.pod, v, self.node)?)));
        let Some((volume, mut host_path)) = found else {
            return Err(ConfigError::new(format!(
                "cannot find volume {:?} to mount into container {name:?}",
                mount.name
            )));
        };
        let part = part(mount, environment)?;
        if !part.is_empty() {
            host_path = self.sub_path(mount, &host_path, &part)?;
        }
        let read_only = Plugin::of(volume).is_some_and(Plugin::is_projected);
        Ok(Mount {
            readonly: read_only || mount.read_only == Some(true),
            recursive_read_only: recursive_read_only(mount)?,
            propagation: propagation(mount)?.into(),
            ..plain(&host_path, &mount.mount_path)
        })
    }

    fn sub_path(
        self,
        mount: &VolumeMount,
        volume: &Path,
        part: &str,
    ) -> Result<PathBuf, ConfigError> {
        let uid = self.pod.metadata.uid.as_deref().unwrap_or_default();
        let target = self.node.layout.sub_paths(uid);
        let target = target
            .join(&mount.name)
            .join(&self.container.name)
            .join(self.at.to_string());
        let mounted =
            open_within(volume, Path::new(part)).and_then(|open| mount_open(&open, &target));
        match mounted {
            Ok(()) => Ok(target),
            Err(error) => {
                // Users must not learn about the node's files.
                let (pod, volume, container) = (uid, &mount.name, &self.container.name);
                tracing::warn!(pod, volume, container, "sub path: {error}");
                Err(ConfigError::new(format!(
                    "failed to prepare subPath for volumeMount {volume:?} of container {container:?}"
                )))
            }
        }
    }
}

/// The part of its volume that is mounted; empty for all of it.
fn part(mount: &VolumeMount, environment: &Environment) -> Result<String, ConfigError> {
    let mut part = mount.sub_path.clone().unwrap_or_default();
    if let Some(expression) = mount.sub_path_expr.as_deref().filter(|e| !e.is_empty()) {
        part = expanded(expression, environment)?;
    }
    if part.starts_with('/') {
        let why = format!("error SubPath `{part}` must not be an absolute path");
        return Err(ConfigError::new(why));
    }
    if Path::new(&part)
        .components()
        .any(|c| c == Component::ParentDir)
    {
        let why = format!("unable to provision SubPath `{part}`: must not contain '..'");
        return Err(ConfigError::new(why));
    }
    Ok(part)
}

/// Here, unlike elsewhere, a variable must be there.
fn expanded(expression: &str, environment: &Environment) -> Result<String, ConfigError> {
    let missing = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let text = expand(expression, |name| {
        let value = environment.text(name).filter(|value| !value.is_empty());
        if value.is_none() {
            missing.borrow_mut().insert(name.to_owned());
        }
        value
    });
    let missing: Vec<_> = missing.into_inner().into_iter().collect();
    match missing.is_empty() {
        true => Ok(text),
        false => Err(ConfigError::new(format!(
            "missing value for {}",
            missing.join(", ")
        ))),
    }
}

fn propagation(mount: &VolumeMount) -> Result<MountPropagation, ConfigError> {
    match mount.mount_propagation.as_deref() {
        None | Some("None") => Ok(MountPropagation::Private),
        Some("HostToContainer") => Ok(MountPropagation::HostToContainer),
        Some("Bidirectional") => Ok(MountPropagation::Bidirectional),
        Some(other) => {
            let why = format!("invalid MountPropagation mode: {other:?}");
            Err(ConfigError::new(why))
        }
    }
}

/// No runtime is known to do it: what only would be nice is left out, what must be is refused.
fn recursive_read_only(mount: &VolumeMount) -> Result<bool, ConfigError> {
    match mount.recursive_read_only.as_deref() {
        None | Some("Disabled" | "IfPossible") => Ok(false),
        Some(_) => Err(ConfigError::new(format!(
            "failed to resolve recursive read-only mode: volume {:?} requested recursive read-only mode, but it is \
             not supported by the runtime",
            mount.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{facts, pod};
    use crate::spec::{EnvironmentSources, Objects};
    use crate::volumes::mount_table::unmount_below;

    fn mounts(spec: &str, root: &Path) -> Result<Vec<Mount>, String> {
        let pod = pod(spec);
        let mut node = facts();
        node.layout.root = root.to_owned();
        let volume = node.layout.volume("u-1", Plugin::EmptyDir.name(), "e");
        fs::create_dir_all(volume).expect("made");
        let container = &pod.spec.as_ref().expect("has one").containers[0];
        let sources = EnvironmentSources {
            node: &node,
            objects: &Objects::default(),
            services: &[],
            pod_ips: &[],
        };
        let environment = Environment::of(&pod, container, sources).expect("valid");
        let ips = ["10.1.0.1".to_owned()];
        container_mounts(&pod, container, &environment, &ips, &node).map_err(|why| why.to_string())
    }

    #[test]
    fn volumes_hosts_and_last_words() {
        let root = tempfile::TempDir::new().expect("a folder");
        let made = mounts(
            "volumes: [{name: e, emptyDir: {}}, {name: c, configMap: {name: x}}, {name: h, hostPath: {path: /srv}}]\n\
             containers: [{name: a, terminationMessagePath: /dev/termination-log, volumeMounts: [\
             {name: e, mountPath: rel, mountPropagation: HostToContainer}, {name: c, mountPath: /c}, \
             {name: h, mountPath: /h, readOnly: true, recursiveReadOnly: IfPossible}]}]",
            root.path(),
        )
        .expect("valid");
        let below = |path: &str| root.path().join(path).display().to_string();
        let shown: Vec<_> = made
            .iter()
            .map(|m| {
                (
                    m.host_path.clone(),
                    m.container_path.as_str(),
                    m.readonly,
                    m.propagation,
                )
            })
            .collect();
        let volumes = "pods/u-1/volumes/kubernetes.io~";
        assert_eq!(
            shown[..4],
            [
                (below(&format!("{volumes}empty-dir/e")), "/rel", false, 1),
                (below(&format!("{volumes}configmap/c")), "/c", true, 0),
                ("/srv".to_owned(), "/h", true, 0),
                (below("pods/u-1/etc-hosts"), "/etc/hosts", false, 0),
            ]
        );
        assert_eq!(made[4].container_path, "/dev/termination-log");
        let file = Path::new(&made[4].host_path);
        assert!(file.starts_with(below("pods/u-1/containers/a")));
        let mode = fs::metadata(file).expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
    }

    #[test]
    fn a_pod_without_volumes_has_a_hosts_file() {
        let root = tempfile::TempDir::new().expect("a folder");
        let mut node = facts();
        node.layout.root = root.path().to_owned();
        let pod = pod("containers: [{name: a}]");
        let container = &pod.spec.as_ref().expect("has one").containers[0];
        let ips = ["10.1.0.1".to_owned()];
        let made = container_mounts(&pod, container, &Environment::default(), &ips, &node);
        let path = made.expect("valid")[0].host_path.clone();
        let text = fs::read_to_string(path).expect("written");
        assert!(text.contains("10.1.0.1\tp\n"), "{text}");
    }

    #[test]
    fn a_container_may_bring_its_own_hosts() {
        let root = tempfile::TempDir::new().expect("a folder");
        let spec = "volumes: [{name: e, emptyDir: {}}]\n\
                    containers: [{name: a, volumeMounts: [{name: e, mountPath: /etc/hosts}]}]";
        let made = mounts(spec, root.path()).expect("valid");
        assert_eq!(made.len(), 1);
    }

    #[test]
    fn what_cannot_be_mounted_is_said_without_the_nodes_paths() {
        let root = tempfile::TempDir::new().expect("a folder");
        for (mount, why) in [
            (
                "{name: none, mountPath: /x}",
                "cannot find volume \"none\" to mount into container \"a\"",
            ),
            (
                "{name: e, mountPath: /x, subPath: /y}",
                "error SubPath `/y` must not be an absolute path",
            ),
            (
                "{name: e, mountPath: /x, subPath: y/../../z}",
                "unable to provision SubPath `y/../../z`: must not contain '..'",
            ),
            (
                "{name: e, mountPath: /x, subPathExpr: $(B)-$(A)-$(SET)}",
                "missing value for A, B",
            ),
            (
                "{name: e, mountPath: /x, mountPropagation: Odd}",
                "invalid MountPropagation mode: \"Odd\"",
            ),
            (
                "{name: e, mountPath: /x, subPath: out}",
                "failed to prepare subPath for volumeMount \"e\" of container \"a\"",
            ),
        ] {
            let volume = root
                .path()
                .join("pods/u-1/volumes/kubernetes.io~empty-dir/e");
            fs::create_dir_all(&volume).expect("made");
            let _ = std::os::unix::fs::symlink("/etc", volume.join("out"));
            let spec = format!(
                "volumes: [{{name: e, emptyDir: {{}}}}]\n\
                 containers: [{{name: a, env: [{{name: SET, value: v}}], volumeMounts: [{mount}]}}]"
            );
            assert_eq!(mounts(&spec, root.path()), Err(why.to_owned()), "{mount}");
        }
    }

    #[test]
    fn a_part_of_a_volume_is_mounted_by_what_the_expression_says() {
        let root = tempfile::TempDir::new().expect("a folder");
        let spec = "volumes: [{name: e, emptyDir: {}}]\n\
                    containers: [{name: a, env: [{name: POD, value: p-1}], \
                    volumeMounts: [{name: e, mountPath: /x, subPathExpr: logs/$(POD)}]}]";
        match mounts(spec, root.path()) {
            Err(why) if !rustix::process::geteuid().is_root() => {
                eprintln!("skipped: nobody but root can mount ({why})");
            }
            made => {
                let made = made.expect("mounted");
                fs::write(Path::new(&made[0].host_path).join("f"), "").expect("written");
                let inside = "pods/u-1/volumes/kubernetes.io~empty-dir/e/logs/p-1/f";
                assert!(root.path().join(inside).exists());
                unmount_below(root.path()).expect("unmounted");
            }
        }
    }
}
