//! The Node object: pure functions of the machine and of how it is.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints,
    NodeRuntimeHandler, NodeSpec, NodeStatus, NodeSystemInfo, Taint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::ObjectMeta;

use super::machine::Machine;
use crate::limits::{EVICTION_DISK_PERCENT, EVICTION_MEMORY_BYTES};
use crate::status::seconds;

/// Who a node is.
#[derive(Clone, Debug)]
pub struct Identity {
    pub name: String,
    pub hostname: String,
    pub addresses: Vec<IpAddr>,
    /// Of `--node-labels`,
    pub labels: BTreeMap<String, String>,
    /// and of `--register-with-taints`.
    pub taints: Taints,
    pub unschedulable: bool,
    pub provider_id: Option<String>,
    pub pods_max: u32,
    /// Where this kubelet's API is.
    pub port: u16,
    pub version: String,
    pub reserved: Reserved,
}

impl Identity {
    /// Where it can be asked, as its status says: names and addresses.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        let addresses = self.addresses.iter().map(ToString::to_string);
        let mut hosts: Vec<String> = addresses.chain([self.hostname.clone()]).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }
}

pub type Taints = Vec<Taint>;

/// What is kept from pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    pub milli_cpus: u64,
    pub memory: u64,
    pub disk: u64,
}

/// How a node is.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Why it is not ready; empty if it is.
    pub troubles: Vec<String>,
    /// As `containerd://1.6.20`.
    pub runtime: String,
    pub images: Vec<ContainerImage>,
    pub handlers: Vec<NodeRuntimeHandler>,
}

type Amounts = BTreeMap<String, Quantity>;

/// What the machine has.
pub fn capacity(machine: &Machine, pods_max: u32) -> Amounts {
    let mut all = BTreeMap::from([
        ("cpu".to_owned(), Quantity(machine.cpus.to_string())),
        ("memory".to_owned(), kilobytes(machine.memory)),
        ("ephemeral-storage".to_owned(), kilobytes(machine.disk)),
        ("pods".to_owned(), Quantity(pods_max.to_string())),
    ]);
    for pages in &machine.huge_pages {
        let bytes = pages.size.saturating_mul(pages.count);
        all.insert(page_name(pages.size), Quantity(bytes.to_string()));
    }
    all
}

/// What of it pods may have.
pub fn allocatable(machine: &Machine, pods_max: u32, reserved: Reserved) -> Amounts {
    let mut all = capacity(machine, pods_max);
    let milli = machine
        .cpus
        .saturating_mul(1000)
        .saturating_sub(reserved.milli_cpus);
    let cpus = match milli % 1000 {
        0 => (milli / 1000).to_string(),
        _ => format!("{milli}m"),
    };
    let huge: u64 = machine
        .huge_pages
        .iter()
        .map(|pages| pages.size.saturating_mul(pages.count))
        .sum();
    let kept = reserved
        .memory
        .saturating_add(EVICTION_MEMORY_BYTES)
        .saturating_add(huge);
    let disk = machine
        .disk
        .saturating_sub(machine.disk / 100 * EVICTION_DISK_PERCENT)
        .saturating_sub(reserved.disk);
    all.insert("cpu".to_owned(), Quantity(cpus));
    all.insert(
        "memory".to_owned(),
        kilobytes(machine.memory.saturating_sub(kept)),
    );
    all.insert("ephemeral-storage".to_owned(), Quantity(disk.to_string()));
    all
}

fn kilobytes(bytes: u64) -> Quantity {
    Quantity(format!("{}Ki", bytes / 1024))
}

/// As `hugepages-2Mi`.
fn page_name(size: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    match size {
        size if size >= 1024 * MIB => format!("hugepages-{}Gi", size / (1024 * MIB)),
        size if size >= MIB => format!("hugepages-{}Mi", size / MIB),
        size => format!("hugepages-{}Ki", size / 1024),
    }
}

/// Labels that every node has, and its own.
pub fn labels(identity: &Identity, machine: &Machine) -> BTreeMap<String, String> {
    let mut all = identity.labels.clone();
    let known = [
        ("kubernetes.io/hostname", identity.hostname.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", machine.architecture.as_str()),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", machine.architecture.as_str()),
    ];
    for (key, value) in known {
        all.insert(key.to_owned(), value.to_owned());
    }
    all
}

/// A node as it registers for the first time.
pub(super) fn new_node(
    identity: &Identity,
    machine: &Machine,
    health: &Health,
    now: Timestamp,
) -> Node {
    let some = |taints: &Taints| (!taints.is_empty()).then(|| taints.clone());
    Node {
        metadata: ObjectMeta {
            name: Some(identity.name.clone()),
            labels: Some(labels(identity, machine)),
            annotations: Some(BTreeMap::from([(
                "volumes.kubernetes.io/controller-managed-attach-detach".to_owned(),
                "true".to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            taints: some(&identity.taints),
            unschedulable: identity.unschedulable.then_some(true),
            provider_id: identity.provider_id.clone(),
            ..NodeSpec::default()
        }),
        status: Some(status(
            identity,
            machine,
            health,
            &NodeStatus::default(),
            now,
        )),
    }
}

/// A node's status; what others wrote into it stays.
pub(super) fn status(
    identity: &Identity,
    machine: &Machine,
    health: &Health,
    old: &NodeStatus,
    now: Timestamp,
) -> NodeStatus {
    NodeStatus {
        addresses: Some(addresses(identity)),
        capacity: Some(capacity(machine, identity.pods_max)),
        allocatable: Some(allocatable(machine, identity.pods_max, identity.reserved)),
        conditions: Some(conditions(health, old, now)),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint {
                port: i32::from(identity.port),
            }),
        }),
        images: Some(health.images.clone()),
        runtime_handlers: (!health.handlers.is_empty()).then(|| health.handlers.clone()),
        node_info: Some(NodeSystemInfo {
            architecture: machine.architecture.clone(),
            boot_id: machine.boot_id.clone(),
            container_runtime_version: health.runtime.clone(),
            kernel_version: machine.kernel.clone(),
            kube_proxy_version: String::new(),
            kubelet_version: identity.version.clone(),
            machine_id: machine.machine_id.clone(),
            operating_system: "linux".to_owned(),
            os_image: machine.os_image.clone(),
            system_uuid: machine.system_uuid.clone(),
            ..NodeSystemInfo::default()
        }),
        ..old.clone()
    }
}

fn addresses(identity: &Identity) -> Vec<NodeAddress> {
    let address = |kind: &str, address: String| NodeAddress {
        type_: kind.to_owned(),
        address,
    };
    let ips = identity.addresses.iter();
    ips.map(|ip| address("InternalIP", ip.to_string()))
        .chain([address("Hostname", identity.hostname.clone())])
        .collect()
}

fn conditions(health: &Health, old: &NodeStatus, now: Timestamp) -> Vec<NodeCondition> {
    let ready = health.troubles.is_empty();
    let words = match ready {
        true => "kubelet is posting ready status".to_owned(),
        false => health.troubles.join(", "),
    };
    let reason = if ready {
        "KubeletReady"
    } else {
        "KubeletNotReady"
    };
    let own = [
        (
            "MemoryPressure",
            false,
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available".to_owned(),
        ),
        (
            "DiskPressure",
            false,
            "KubeletHasNoDiskPressure",
            "kubelet has no disk pressure".to_owned(),
        ),
        (
            "PIDPressure",
            false,
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available".to_owned(),
        ),
        ("Ready", ready, reason, words),
    ];
    let mut all: Vec<NodeCondition> = old.conditions.clone().unwrap_or_default();
    for (name, holds, reason, message) in own {
        let status = if holds { "True" } else { "False" };
        let before = all.iter_mut().find(|condition| condition.type_ == name);
        let since = before
            .as_ref()
            .filter(|before| before.status == status)
            .and_then(|before| before.last_transition_time.clone());
        let condition = NodeCondition {
            type_: name.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_heartbeat_time: Some(seconds(now)),
            last_transition_time: since.or_else(|| Some(seconds(now))),
        };
        match before {
            Some(before) => *before = condition,
            None => all.push(condition),
        }
    }
    all
}

/// Whether two statuses say the same, but for when.
pub(super) fn says_the_same(old: &NodeStatus, new: &NodeStatus) -> bool {
    let timeless = |status: &NodeStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
        status
    };
    timeless(old) == timeless(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::machine::Pages;

    fn machine() -> Machine {
        Machine {
            cpus: 2,
            memory: 4 << 30,
            disk: 100 << 30,
            huge_pages: vec![Pages {
                size: 2 << 20,
                count: 4,
            }],
            ..Machine::default()
        }
    }

    #[test]
    fn what_is_kept_is_not_for_pods() {
        let reserved = Reserved {
            milli_cpus: 250,
            memory: 1 << 30,
            disk: 0,
        };
        let all = allocatable(&machine(), 110, reserved);
        let words: Vec<String> = all
            .iter()
            .map(|(name, amount)| format!("{name}={}", amount.0))
            .collect();
        let memory = ((4u64 << 30) - (1 << 30) - (100 << 20) - (8 << 20)) / 1024;
        let disk = (100u64 << 30) - (100u64 << 30) / 100 * 10;
        let expected = [
            "cpu=1750m".to_owned(),
            format!("ephemeral-storage={disk}"),
            format!("hugepages-2Mi={}", 8 << 20),
            format!("memory={memory}Ki"),
            "pods=110".to_owned(),
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn a_condition_keeps_its_time_while_it_holds() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let mut health = Health::default();
        let first = NodeStatus {
            conditions: Some(conditions(&health, &NodeStatus::default(), at(10))),
            ..NodeStatus::default()
        };
        let later = NodeStatus {
            conditions: Some(conditions(&health, &first, at(20))),
            ..NodeStatus::default()
        };
        assert!(says_the_same(&first, &later));
        health.troubles = vec!["container runtime is down".to_owned()];
        let down = conditions(&health, &later, at(30));
        let ready = down
            .iter()
            .find(|one| one.type_ == "Ready")
            .expect("always");
        assert_eq!(ready.status, "False");
        assert_eq!(ready.reason.as_deref(), Some("KubeletNotReady"));
        assert_eq!(ready.last_transition_time, Some(seconds(at(30))));
        let memory = down
            .iter()
            .find(|one| one.type_ == "MemoryPressure")
            .expect("always");
        assert_eq!(memory.last_transition_time, Some(seconds(at(10))));
    }
}
