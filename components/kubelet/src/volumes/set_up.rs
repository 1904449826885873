//! One volume of a pod, made on the node.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod, PodSpec, Volume};

use super::atomic_writer::{Payload, write};
use super::container_mounts::{private_folder, volume_path};
use super::empty_dir::{self, Medium};
use super::host_path;
use super::mount_table::mounted_on;
use super::ownership::give_to_group;
use super::sources::Plugin;
use crate::spec::NodeFacts;

/// Makes a volume be there, or its files be these if they are the kubelet's. Does no more than is needed: it is
/// called again for volumes in use, also by a kubelet that has just started. Blocks.
///
/// # Errors
/// Why it cannot be, for users.
pub(super) fn set_up(
    pod: &Pod,
    volume: &Volume,
    payload: Option<Payload>,
    node: &NodeFacts,
) -> Result<(), String> {
    let (Some(plugin), Some(path)) = (Plugin::of(volume), volume_path(pod, volume, node)) else {
        return Err("no volume plugin matched".to_owned());
    };
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let words = |error: io::Error| error.to_string();
    // Names of pods' folders are made of uids and volumes' names, which the apiserver has looked at.
    for part in [uid, volume.name.as_str()] {
        if part.is_empty() || part.contains('/') || part == "." || part == ".." {
            return Err(format!("{part:?} cannot be the name of a folder"));
        }
    }
    if let Some(source) = &volume.host_path {
        return host_path::check(source);
    }
    private_folder(&node.layout.volumes(uid)).map_err(words)?;
    let group = group(pod);
    if let Some(source) = &volume.empty_dir {
        let medium = Medium::of(source, pod, node)?;
        let ready = ready_mark(node, uid, &volume.name);
        return empty(&path, &ready, &medium, group).map_err(words);
    }
    let medium = match plugin.in_memory() {
        true => {
            let source = EmptyDirVolumeSource {
                medium: Some("Memory".to_owned()),
                size_limit: None,
            };
            Medium::of(&source, pod, node)?
        }
        false => Medium::Disk,
    };
    empty_dir::set_up(&path, &medium).map_err(words)?;
    let nested = pod.spec.as_ref().map(|spec| nested(spec, &volume.name));
    for folder in nested.into_iter().flatten() {
        fs::create_dir_all(path.join(folder))
            .map_err(|error| format!("unable to create nested volume mountpoints: {error}"))?;
    }
    let permissions = |_: &Path| match group {
        Some(group) => give_to_group(&path, group, true),
        None => Ok(()),
    };
    write(&path, &payload.unwrap_or_default(), permissions).map_err(words)?;
    Ok(())
}

fn group(pod: &Pod) -> Option<u32> {
    let context = pod.spec.as_ref()?.security_context.as_ref()?;
    u32::try_from(context.fs_group?).ok()
}

fn ready_mark(node: &NodeFacts, uid: &str, volume: &str) -> PathBuf {
    let plugin = Plugin::EmptyDir.name().replace('/', "~");
    node.layout
        .pod(uid)
        .join("plugins")
        .join(plugin)
        .join(volume)
        .join("ready")
}

/// What is in it is the pod's: once it was ready it is left alone.
fn empty(path: &Path, ready: &Path, medium: &Medium, group: Option<u32>) -> io::Result<()> {
    let there = match medium {
        Medium::Disk => path.is_dir(),
        Medium::Memory(_) | Medium::HugePages(_) => mounted_on(path)?.is_some(),
    };
    if there && ready.exists() {
        return Ok(());
    }
    empty_dir::set_up(path, medium)?;
    if let Some(group) = group {
        give_to_group(path, group, false)?;
    }
    if let Some(folder) = ready.parent() {
        private_folder(folder)?;
    }
    fs::write(ready, "")
}

/// Folders of a volume on which containers mount other volumes: in a read-only one nobody else could make them.
fn nested(spec: &PodSpec, volume: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let init = spec.init_containers.iter().flatten();
    for container in init.chain(&spec.containers) {
        let mounts = || container.volume_mounts.iter().flatten();
        for own in mounts().filter(|mount| mount.name == volume) {
            let below = mounts().filter_map(|other| {
                let path = Path::new(&other.mount_path);
                path.strip_prefix(&own.mount_path).ok()
            });
            let plain = |path: &&Path| {
                let mut parts = path.components();
                path.components().next().is_some()
                    && parts.all(|part| matches!(part, std::path::Component::Normal(_)))
            };
            let part = Path::new(own.sub_path.as_deref().unwrap_or_default());
            // A part is a link to a version of the volume: nothing can be made in it.
            if part.as_os_str().is_empty() {
                found.extend(below.filter(plain).map(Path::to_path_buf));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{facts, pod};
    use crate::volumes::atomic_writer::ProjectedFile;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn folders_for_volumes_within_volumes() {
        let pod = pod(
            "containers: [{name: a, volumeMounts: [{name: c, mountPath: /etc/c}, {name: d, mountPath: /etc/c/x/y}, \
             {name: e, mountPath: /etc/cc}]}, {name: b, volumeMounts: [{name: c, mountPath: /q}, {name: d, mountPath: /q/z}]}]",
        );
        let found = nested(pod.spec.as_ref().expect("has one"), "c");
        assert_eq!(found, [Path::new("x/y"), Path::new("z")]);
    }

    #[test]
    fn what_a_pod_put_into_its_folder_stays() {
        let root = tempfile::TempDir::new().expect("a folder");
        let mut node = facts();
        node.layout.root = root.path().to_owned();
        let own = rustix::process::getegid().as_raw();
        let pod = pod(&format!(
            "securityContext: {{fsGroup: {own}}}\nvolumes: [{{name: e, emptyDir: {{}}}}]\ncontainers: []"
        ));
        let volume = pod
            .spec
            .as_ref()
            .and_then(|s| s.volumes.as_ref())
            .expect("some")[0]
            .clone();
        set_up(&pod, &volume, None, &node).expect("made");
        let path = node.layout.volume("u-1", Plugin::EmptyDir.name(), "e");
        let mode = || fs::metadata(&path).expect("there").mode() & 0o7777;
        assert_eq!(mode(), 0o2777);
        fs::write(path.join("f"), "x").expect("written");
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("the pod's choice");
        set_up(&pod, &volume, None, &node).expect("it is there");
        assert_eq!(mode(), 0o700);
        assert!(path.join("f").exists());
    }

    #[test]
    fn files_follow_their_source() {
        let root = tempfile::TempDir::new().expect("a folder");
        let mut node = facts();
        node.layout.root = root.path().to_owned();
        let pod = pod("volumes: [{name: c, configMap: {name: x}}]\ncontainers: []");
        let volume = pod
            .spec
            .as_ref()
            .and_then(|s| s.volumes.as_ref())
            .expect("some")[0]
            .clone();
        let path = node.layout.volume("u-1", Plugin::ConfigMap.name(), "c");
        for text in ["one", "two"] {
            let file = ProjectedFile {
                data: text.into(),
                mode: 0o644,
                owner: None,
            };
            let payload = Payload::from([("key".to_owned(), file)]);
            set_up(&pod, &volume, Some(payload), &node).expect("made");
            assert_eq!(fs::read_to_string(path.join("key")).expect("there"), text);
        }
    }

    #[test]
    fn names_do_not_lead_elsewhere() {
        let root = tempfile::TempDir::new().expect("a folder");
        let mut node = facts();
        node.layout.root = root.path().to_owned();
        let mut pod = pod(
            "volumes: [{name: e, emptyDir: {}}, {name: n, nfs: {server: a, path: b}}]\ncontainers: []",
        );
        let volumes = pod
            .spec
            .as_ref()
            .and_then(|s| s.volumes.clone())
            .expect("some");
        let why = set_up(&pod, &volumes[1], None, &node).expect_err("not supported");
        assert_eq!(why, "no volume plugin matched");
        pod.metadata.uid = Some("..".to_owned());
        let why = set_up(&pod, &volumes[0], None, &node).expect_err("refused");
        assert_eq!(why, "\"..\" cannot be the name of a folder");
    }
}
