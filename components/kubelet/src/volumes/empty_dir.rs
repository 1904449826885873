//! Folders that a pod has for itself: emptyDir, and what the files of other volumes lie in.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use mainstay_client::quantity::whole;
use rustix::mount::{MountFlags, mount};

use super::mount_table::mounted_on;
use crate::spec::{NodeFacts, PodResources};

/// What a folder's files are kept in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    Disk,
    /// At most so many bytes of memory; without a number what the kernel gives.
    Memory(Option<u64>),
    /// Pages of this size, in bytes.
    HugePages(u64),
}

impl Medium {
    /// What an emptyDir of a pod is kept in.
    ///
    /// # Errors
    /// If there is no such medium.
    pub(super) fn of(
        source: &EmptyDirVolumeSource,
        pod: &Pod,
        node: &NodeFacts,
    ) -> Result<Self, String> {
        match source.medium.as_deref().unwrap_or_default() {
            "" => Ok(Self::Disk),
            "Memory" => Ok(Self::Memory(memory_size(source, pod, node))),
            "HugePages" => {
                let mut sizes = huge_page_sizes(pod);
                sizes.sort_unstable();
                sizes.dedup();
                match sizes.as_slice() {
                    [size] => Ok(Self::HugePages(*size)),
                    _ => Err(
                        "medium HugePages can be used only if the pod's containers ask for pages of one size"
                            .to_owned(),
                    ),
                }
            }
            other => {
                let size = other.strip_prefix("HugePages-").and_then(bytes);
                size.map(Self::HugePages)
                    .ok_or_else(|| format!("unknown storage medium {other:?}"))
            }
        }
    }
}

fn bytes(text: &str) -> Option<u64> {
    let bytes = u64::try_from(whole(&Quantity(text.to_owned()))).ok();
    bytes.filter(|bytes| *bytes > 0)
}

fn huge_page_sizes(pod: &Pod) -> Vec<u64> {
    let spec = pod.spec.as_ref();
    let containers = spec.into_iter().flat_map(|spec| {
        let init = spec.init_containers.iter().flatten();
        init.chain(&spec.containers)
    });
    let requests =
        containers.filter_map(|container| container.resources.as_ref()?.requests.as_ref());
    requests
        .flat_map(|list| list.keys())
        .filter_map(|name| bytes(name.strip_prefix("hugepages-")?))
        .collect()
}

/// The least of what pods can have of the node, what this pod can have, and what the volume asks for.
fn memory_size(source: &EmptyDirVolumeSource, pod: &Pod, node: &NodeFacts) -> Option<u64> {
    let of_pod = pod
        .spec
        .as_ref()
        .and_then(|spec| PodResources::of(spec).memory_limit);
    let all = [
        node.allocatable.get("memory").map(whole),
        of_pod,
        source.size_limit.as_ref().map(whole),
    ];
    let sizes = all.into_iter().flatten();
    sizes
        .filter_map(|size| u64::try_from(size).ok())
        .filter(|size| *size > 0)
        .min()
}

/// Makes the folder and, if it is not of the disk, mounts what it is of. Does nothing to one that is there.
///
/// # Errors
/// If the kernel refuses.
pub(super) fn set_up(folder: &Path, medium: &Medium) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let (kind, options) = match medium {
        Medium::Disk => {
            // Whoever the containers run as.
            return fs::set_permissions(folder, Permissions::from_mode(0o777));
        }
        Medium::Memory(None) => ("tmpfs", "mode=0777".to_owned()),
        Medium::Memory(Some(size)) => ("tmpfs", format!("mode=0777,size={size}")),
        Medium::HugePages(size) => ("hugetlbfs", format!("mode=0777,pagesize={size}")),
    };
    if mounted_on(folder)?.is_some_and(|mount| mount.kind == kind) {
        return Ok(());
    }
    fs::set_permissions(folder, Permissions::from_mode(0o777))?;
    let mounted = |options: &str| {
        let options = CString::new(options).expect("numbers and letters");
        mount(
            kind,
            folder,
            kind,
            MountFlags::empty(),
            Some(options.as_c_str()),
        )
    };
    // Memory that is swapped would be on a disk; kernels before 6.4 cannot be told.
    let result = match kind {
        "tmpfs" => mounted(&format!("{options},noswap")).or_else(|_| mounted(&options)),
        _ => mounted(&options),
    };
    result.map_err(|error| {
        let why = format!("mounting {kind} on {}: {error}", folder.display());
        io::Error::new(io::Error::from(error).kind(), why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{facts, pod};
    use crate::volumes::mount_table::unmount_below;

    #[test]
    fn mediums() {
        let plain = "containers: [{name: a}]";
        let limited = "containers: [{name: a, resources: {limits: {memory: 1Gi}}}]";
        let huge = "containers: [{name: a, resources: {requests: {hugepages-2Mi: 4Mi}}}]";
        for (source, spec, expected) in [
            ("{}", plain, Ok(Medium::Disk)),
            ("{sizeLimit: 1Mi}", plain, Ok(Medium::Disk)),
            // The node of these tests can give pods 8Gi.
            ("{medium: Memory}", plain, Ok(Medium::Memory(Some(8 << 30)))),
            (
                "{medium: Memory}",
                limited,
                Ok(Medium::Memory(Some(1 << 30))),
            ),
            (
                "{medium: Memory, sizeLimit: 64Mi}",
                limited,
                Ok(Medium::Memory(Some(64 << 20))),
            ),
            (
                "{medium: Memory, sizeLimit: 64Gi}",
                plain,
                Ok(Medium::Memory(Some(8 << 30))),
            ),
            ("{medium: HugePages}", huge, Ok(Medium::HugePages(2 << 20))),
            (
                "{medium: HugePages-1Gi}",
                plain,
                Ok(Medium::HugePages(1 << 30)),
            ),
            (
                "{medium: Tape}",
                plain,
                Err("unknown storage medium \"Tape\"".to_owned()),
            ),
        ] {
            let parsed = serde_yaml_ng::from_str(source).expect("a source");
            assert_eq!(
                Medium::of(&parsed, &pod(spec), &facts()),
                expected,
                "{source}"
            );
        }
        let parsed = serde_yaml_ng::from_str("{medium: HugePages}").expect("a source");
        assert!(Medium::of(&parsed, &pod(plain), &facts()).is_err());
    }

    #[test]
    fn memory_is_mounted_once_and_no_larger_than_asked_for() {
        let root = tempfile::TempDir::new().expect("a folder");
        let folder = root.path().join("v");
        let medium = Medium::Memory(Some(64 << 10));
        match set_up(&folder, &medium) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("skipped: nobody but root can mount");
                return;
            }
            made => made.expect("mounted"),
        }
        fs::write(folder.join("f"), [0; 1024]).expect("room");
        // Again, as after a restart of the kubelet: what is in it stays.
        set_up(&folder, &medium).expect("it is there");
        assert_eq!(fs::metadata(folder.join("f")).expect("there").len(), 1024);
        let full = fs::write(folder.join("g"), vec![0; 128 << 10]);
        assert_eq!(
            full.expect_err("no room").kind(),
            io::ErrorKind::StorageFull
        );
        unmount_below(root.path()).expect("unmounted");
        assert!(!folder.join("f").exists());
    }
}
