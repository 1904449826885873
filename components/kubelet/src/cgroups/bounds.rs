//! What a cgroup gets and may not exceed, and the kernel's files that say so.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use mainstay_client::quantity::{milli, whole};

use super::hierarchy::Hierarchy;
use crate::spec::{PodResources, QosClass, quota, shares};

/// What a cgroup gets and may not exceed. What is not given is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Of CPU, in version 1's measure.
    pub shares: Option<i64>,
    /// Microseconds of CPU time within `period`; 0 and less is no limit.
    pub quota: Option<i64>,
    /// Microseconds.
    pub period: i64,
    /// Bytes.
    pub memory: Option<i64>,
    /// Processes and threads.
    pub pids: Option<i64>,
    /// Bytes by size of page, as `2MB`.
    pub huge_pages: BTreeMap<String, i64>,
}

impl Bounds {
    /// Of a whole pod: limits hold for it if every container has one, or it itself.
    #[must_use]
    pub fn of_pod(pod: &Pod, cpu_quota: bool, period: i64, pids: Option<i64>) -> Self {
        let class = QosClass::of(pod);
        if class == QosClass::BestEffort {
            return Self {
                shares: Some(shares(0)),
                pids,
                ..Self::default()
            };
        }
        let spec = pod.spec.clone().unwrap_or_default();
        let asked = PodResources::of(&spec);
        let overhead = |name: &str| spec.overhead.as_ref().and_then(|o| o.get(name));
        let cpu = overhead("cpu").map_or(0, milli);
        let memory = overhead("memory").map_or(0, whole);
        let enforced = |limit: i64| match cpu_quota {
            true => quota(limit + cpu, period),
            false => -1,
        };
        Self {
            shares: Some(shares(asked.cpu_request + cpu)),
            quota: asked.cpu_limit.map(enforced),
            period,
            memory: asked.memory_limit.map(|limit| limit + memory),
            pids,
            huge_pages: asked.huge_pages,
        }
    }

    /// Of all pods of a node together: its allocatable resources.
    #[must_use]
    pub fn of_node(allocatable: &BTreeMap<String, Quantity>) -> Self {
        Self {
            shares: allocatable.get("cpu").map(|cpu| shares(milli(cpu))),
            memory: allocatable.get("memory").map(whole),
            ..Self::default()
        }
    }

    /// Of a class of pods: best effort ones get what nobody else wants, burstable ones what they ask for together.
    #[must_use]
    pub fn of_class(class: QosClass, pods: &[impl AsRef<Pod>]) -> Self {
        let cpu = match class {
            QosClass::BestEffort => 0,
            _ => {
                let of_class = pods
                    .iter()
                    .map(AsRef::as_ref)
                    .filter(|pod| QosClass::of(pod) == class);
                let requests = of_class.filter_map(|pod| pod.spec.as_ref());
                requests
                    .map(|spec| PodResources::of(spec).cpu_request)
                    .sum()
            }
        };
        Self {
            shares: Some(shares(cpu)),
            ..Self::default()
        }
    }

    /// Controllers, files and what is to be written into them, in order.
    #[must_use]
    pub fn files(&self, hierarchy: &Hierarchy) -> Vec<(&'static str, String, String)> {
        match hierarchy {
            Hierarchy::V1(_) => self.files_v1(),
            Hierarchy::V2(_) => self.files_v2(),
        }
    }

    fn files_v1(&self) -> Vec<(&'static str, String, String)> {
        let mut files = Vec::new();
        let mut file = |controller, name: &str, value: i64| {
            files.push((controller, name.to_owned(), value.to_string()));
        };
        if let Some(shares) = self.shares {
            file("cpu", "cpu.shares", shares);
        }
        if let Some(quota) = self.quota {
            file("cpu", "cpu.cfs_period_us", self.period);
            file(
                "cpu",
                "cpu.cfs_quota_us",
                if quota > 0 { quota } else { -1 },
            );
        }
        if let Some(memory) = self.memory {
            file("memory", "memory.limit_in_bytes", memory);
        }
        if let Some(pids) = self.pids {
            file("pids", "pids.max", pids);
        }
        for (size, bytes) in &self.huge_pages {
            file("hugetlb", &format!("hugetlb.{size}.limit_in_bytes"), *bytes);
        }
        files
    }

    fn files_v2(&self) -> Vec<(&'static str, String, String)> {
        let mut files = Vec::new();
        let mut file = |controller, name: &str, value: String| {
            files.push((controller, name.to_owned(), value));
        };
        if let Some(shares) = self.shares {
            file("cpu", "cpu.weight", weight(shares).to_string());
        }
        if let Some(quota) = self.quota {
            let quota = match quota {
                1.. => quota.to_string(),
                _ => "max".to_owned(),
            };
            file("cpu", "cpu.max", format!("{quota} {}", self.period));
        }
        if let Some(memory) = self.memory {
            file("memory", "memory.max", memory.to_string());
        }
        if let Some(pids) = self.pids {
            file("pids", "pids.max", pids.to_string());
        }
        for (size, bytes) in &self.huge_pages {
            file("hugetlb", &format!("hugetlb.{size}.max"), bytes.to_string());
        }
        files
    }
}

/// From 2..=262144 to 1..=10000, as runtimes do it.
fn weight(shares: i64) -> i64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{facts, pod};
    use std::sync::Arc;

    fn shown(bounds: &Bounds, hierarchy: &Hierarchy) -> String {
        let files = bounds.files(hierarchy).into_iter();
        let files: Vec<_> = files
            .map(|(_, file, value)| format!("{file}={value}"))
            .collect();
        files.join(", ")
    }

    #[test]
    fn bounds_of_pods() {
        let v1 = Hierarchy::V1(BTreeMap::new());
        let v2 = Hierarchy::V2("/".into());
        for (spec, first, second) in [
            (
                "containers: [{name: a}]",
                "cpu.shares=2, pids.max=100",
                "cpu.weight=1, pids.max=100",
            ),
            (
                "containers: [{name: a, resources: {limits: {cpu: 500m, memory: 64Mi}}}]",
                "cpu.shares=512, cpu.cfs_period_us=100000, cpu.cfs_quota_us=50000, memory.limit_in_bytes=67108864, pids.max=100",
                "cpu.weight=20, cpu.max=50000 100000, memory.max=67108864, pids.max=100",
            ),
            // Not every container has a limit: the pod has none.
            (
                "containers: [{name: a, resources: {requests: {cpu: 100m}, limits: {cpu: 500m}}}, {name: b}]",
                "cpu.shares=102, pids.max=100",
                "cpu.weight=4, pids.max=100",
            ),
            (
                "overhead: {cpu: 100m, memory: 1Mi}\n\
                 containers: [{name: a, resources: {limits: {cpu: 900m, memory: 1Mi}}}]",
                "cpu.shares=1024, cpu.cfs_period_us=100000, cpu.cfs_quota_us=100000, memory.limit_in_bytes=2097152, pids.max=100",
                "cpu.weight=39, cpu.max=100000 100000, memory.max=2097152, pids.max=100",
            ),
            (
                "containers: [{name: a, resources: {requests: {cpu: 1, hugepages-2Mi: 4Mi}, limits: {hugepages-2Mi: 4Mi}}}]",
                "cpu.shares=1024, pids.max=100, hugetlb.2MB.limit_in_bytes=4194304",
                "cpu.weight=39, pids.max=100, hugetlb.2MB.max=4194304",
            ),
        ] {
            let bounds = Bounds::of_pod(&pod(spec), true, 100_000, Some(100));
            assert_eq!(shown(&bounds, &v1), first, "{spec}");
            assert_eq!(shown(&bounds, &v2), second, "{spec}");
        }
        let limited = pod("containers: [{name: a, resources: {limits: {cpu: 1}}}]");
        let bounds = Bounds::of_pod(&limited, false, 100_000, None);
        assert!(shown(&bounds, &v1).contains("cpu.cfs_quota_us=-1"));
        assert!(shown(&bounds, &v2).contains("cpu.max=max 100000"));
    }

    #[test]
    fn bounds_of_classes_and_nodes() {
        let pods = [
            "containers: [{name: a, resources: {requests: {cpu: 100m}}}]",
            "containers: [{name: a, resources: {requests: {cpu: 400m}}}]",
            "containers: [{name: a, resources: {limits: {cpu: 8, memory: 1Gi}}}]",
            "containers: [{name: a}]",
        ];
        let pods = pods.map(|spec| Arc::new(pod(spec)));
        assert_eq!(
            Bounds::of_class(QosClass::Burstable, &pods).shares,
            Some(512)
        );
        assert_eq!(
            Bounds::of_class(QosClass::BestEffort, &pods).shares,
            Some(2)
        );
        let node = Bounds::of_node(&facts().allocatable);
        assert_eq!((node.shares, node.memory), (Some(4096), Some(8 << 30)));
    }

    #[test]
    fn weights_are_what_runtimes_make_of_shares() {
        for (shares, expected) in [
            (0, 1),
            (2, 1),
            (1024, 39),
            (2048, 79),
            (262_144, 10_000),
            (1 << 40, 10_000),
        ] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }
}
