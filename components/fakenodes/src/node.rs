//! What a node says of itself.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::limits::LEASE_SECONDS;
use crate::options::Options;

/// One node, by its number.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    zone: Option<String>,
}

impl Node {
    pub(crate) fn new(number: usize, options: &Options) -> Self {
        // 172.16.0.0/12 has room for more than a process may have.
        let host = u32::try_from(number).unwrap_or(0) + 1;
        let zone = (options.zones > 0).then(|| format!("zone-{}", number % options.zones));
        Self {
            name: format!("{}{number}", options.prefix),
            address: Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 16, 0, 0)) + host),
            zone,
        }
    }

    pub(crate) fn object(&self, options: &Options) -> Value {
        let mut labels = json!({
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "type": "fake",
        });
        if let Some(zone) = &self.zone {
            labels["topology.kubernetes.io/zone"] = json!(zone);
            labels["topology.kubernetes.io/region"] = json!("fake");
        }
        for (key, value) in &options.labels {
            labels[key] = json!(value);
        }
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.name, "labels": labels},
        })
    }

    pub(crate) fn status(&self, options: &Options, since: Timestamp, now: Timestamp) -> Value {
        let mut room = json!({
            "cpu": options.cpu, "memory": options.memory, "pods": options.pods.to_string(),
            "ephemeral-storage": "1Ti",
        });
        for (name, quantity) in &options.resources {
            room[name] = json!(quantity);
        }
        let condition = |name: &str, yes: bool, reason: &str, message: &str| {
            json!({
                "type": name, "status": if yes { "True" } else { "False" },
                "reason": reason, "message": message,
                "lastTransitionTime": whole(since), "lastHeartbeatTime": whole(now),
            })
        };
        json!({"status": {
            "capacity": room,
            "allocatable": room,
            "addresses": [
                {"type": "InternalIP", "address": self.address.to_string()},
                {"type": "Hostname", "address": self.name},
            ],
            "conditions": [
                condition("MemoryPressure", false, "KubeletHasSufficientMemory",
                    "kubelet has sufficient memory available"),
                condition("DiskPressure", false, "KubeletHasNoDiskPressure",
                    "kubelet has no disk pressure"),
                condition("PIDPressure", false, "KubeletHasSufficientPID",
                    "kubelet has sufficient PID available"),
                condition("Ready", true, "KubeletReady", "kubelet is posting ready status"),
            ],
            "nodeInfo": {
                "machineID": self.name, "systemUUID": self.name, "bootID": self.name,
                "kernelVersion": "fake", "osImage": "fake", "containerRuntimeVersion": "fake://1",
                "kubeletVersion": "v1.36.0", "kubeProxyVersion": "", "operatingSystem": "linux",
                "architecture": "amd64",
            },
        }})
    }

    /// `owner` is the node's uid: the lease goes with it.
    pub(crate) fn lease(&self, owner: &str, now: Timestamp) -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {
                "name": self.name, "namespace": "kube-node-lease",
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Node", "name": self.name, "uid": owner},
                ],
            },
            "spec": {
                "holderIdentity": self.name,
                "leaseDurationSeconds": LEASE_SECONDS,
                "renewTime": format!("{now:.6}"),
            },
        })
    }
}

fn whole(time: Timestamp) -> String {
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(time);
    whole.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_addresses_and_zones_of_their_own() {
        let options = Options {
            zones: 3,
            ..Options::default()
        };
        let node = Node::new(4, &options);
        assert_eq!(node.name, "fake-4");
        assert_eq!(node.address, Ipv4Addr::new(172, 16, 0, 5));
        let labels = &node.object(&options)["metadata"]["labels"];
        assert_eq!(labels["topology.kubernetes.io/zone"], "zone-1");
        let now: Timestamp = "2026-01-01T00:00:00.123456789Z".parse().expect("a time");
        let lease = node.lease("u", now);
        assert_eq!(lease["spec"]["renewTime"], "2026-01-01T00:00:00.123456Z");
    }
}
