//! CPU, memory and huge pages in the kernel's units.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use mainstay_client::quantity::{milli, whole};
use mainstay_cri::{HugepageLimit, LinuxContainerResources};

use super::node_facts::NodeFacts;
use super::qos::{is_sidecar, oom_score_adj};

type List = BTreeMap<String, Quantity>;

/// What the kernel allows at least and at most.
const SHARES_MIN: i64 = 2;
const SHARES_MAX: i64 = 262_144;
/// Microseconds that a quota is at least.
const QUOTA_MIN: i64 = 1000;

/// CPU shares (version 1's `cpu.shares`) for thousandths of a CPU.
#[must_use]
pub fn shares(milli_cpu: i64) -> i64 {
    milli_cpu
        .saturating_mul(1024)
        .div_euclid(1000)
        .clamp(SHARES_MIN, SHARES_MAX)
}

/// Microseconds of CPU time within a period, for thousandths of a CPU; 0 is no limit.
#[must_use]
pub fn quota(milli_cpu: i64, period: i64) -> i64 {
    match milli_cpu {
        0 => 0,
        limit => (limit.saturating_mul(period) / 1000).max(QUOTA_MIN),
    }
}

/// Resources of one container.
#[must_use]
pub fn container_resources(
    pod: &Pod,
    container: &Container,
    node: &NodeFacts,
) -> LinuxContainerResources {
    let own = container.resources.as_ref();
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    // A container without a limit has the one of its whole pod.
    let limit = |name: &str| limit_of(own, name).or_else(|| limit_of(of_pod, name));
    let request = own
        .and_then(|own| own.requests.as_ref())
        .and_then(|r| r.get("cpu"));
    let cpu = request.or(limit("cpu"));
    let mut resources = linux(cpu, limit("cpu"), limit("memory"), node);
    resources.oom_score_adj = oom_score_adj(pod, container, node.memory);
    resources.hugepage_limits = huge_pages(own, of_pod, node);
    if node.limit_swap_v1 {
        resources.memory_swap_limit_in_bytes = resources.memory_limit_in_bytes;
    }
    resources
}

fn limit_of<'a>(resources: Option<&'a ResourceRequirements>, name: &str) -> Option<&'a Quantity> {
    let limits = resources.and_then(|resources| resources.limits.as_ref());
    limits
        .and_then(|limits| limits.get(name))
        .filter(|limit| milli(limit) != 0)
}

fn linux(
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
    memory: Option<&Quantity>,
    node: &NodeFacts,
) -> LinuxContainerResources {
    let mut resources = LinuxContainerResources {
        cpu_shares: shares(request.map_or(0, milli)),
        memory_limit_in_bytes: memory.map_or(0, whole),
        ..LinuxContainerResources::default()
    };
    if node.cpu_quota {
        resources.cpu_period = node.cpu_period;
        resources.cpu_quota = quota(limit.map_or(0, milli), node.cpu_period);
    }
    resources
}

/// Every size the kernel has: none unless the container, or else its whole pod, asks for it.
fn huge_pages(
    own: Option<&ResourceRequirements>,
    of_pod: Option<&ResourceRequirements>,
    node: &NodeFacts,
) -> Vec<HugepageLimit> {
    let mut asked = BTreeMap::new();
    for resources in [of_pod, own].into_iter().flatten() {
        for (name, amount) in resources.limits.iter().flatten() {
            if let Some(size) = page_size(name) {
                asked.insert(size, u64::try_from(whole(amount)).unwrap_or(0));
            }
        }
    }
    let limit = |page_size: &String| HugepageLimit {
        page_size: page_size.clone(),
        limit: asked.get(page_size).copied().unwrap_or(0),
    };
    node.huge_pages.iter().map(limit).collect()
}

/// The kernel's name for the pages of `hugepages-2Mi`: `2MB`.
pub(crate) fn page_size(resource: &str) -> Option<String> {
    let size = resource.strip_prefix("hugepages-")?;
    let bytes = whole(&Quantity(size.to_owned()));
    Some(match bytes {
        1.. if bytes % (1 << 30) == 0 => format!("{}GB", bytes >> 30),
        1.. if bytes % (1 << 20) == 0 => format!("{}MB", bytes >> 20),
        1.. => format!("{}KB", bytes >> 10),
        _ => return None,
    })
}

/// What a whole pod asks for and may have, without its overhead: containers together, or the largest of what runs
/// while it is initialised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodResources {
    /// Thousandths of a CPU.
    pub cpu_request: i64,
    /// Thousandths of a CPU; none if a container has no limit.
    pub cpu_limit: Option<i64>,
    /// Bytes.
    pub memory_request: i64,
    /// Bytes; none if a container has no limit.
    pub memory_limit: Option<i64>,
    /// Bytes by size of page, as `2MB`.
    pub huge_pages: BTreeMap<String, i64>,
}

impl PodResources {
    /// Without overhead, which is added by whoever accounts for it.
    #[must_use]
    pub fn of(spec: &PodSpec) -> Self {
        let own = spec.resources.as_ref();
        let own_request = |name: &str| of_list(own.and_then(|own| own.requests.as_ref()), name);
        let own_limit = |name: &str| of_list(own.and_then(|own| own.limits.as_ref()), name);
        let requests = |name: &str| {
            own_request(name)
                .or_else(|| own_limit(name))
                .unwrap_or_else(|| total(spec, name, |c| requests(c).or_else(|| limits(c))).0)
        };
        let limit = |name: &str| {
            own_limit(name).or_else(|| {
                let (sum, all) = total(spec, name, limits);
                all.then_some(sum)
            })
        };
        let mut huge_pages = BTreeMap::new();
        for name in huge_page_names(spec) {
            if let Some(size) = page_size(&name) {
                huge_pages.insert(size, in_whole(requests(&name)));
            }
        }
        Self {
            cpu_request: requests("cpu"),
            cpu_limit: limit("cpu"),
            memory_request: in_whole(requests("memory")),
            memory_limit: limit("memory").map(in_whole),
            huge_pages,
        }
    }
}

/// Everything is summed up in thousandths.
fn in_whole(thousandths: i64) -> i64 {
    thousandths / 1000 + i64::from(thousandths % 1000 > 0)
}

fn of_list(list: Option<&List>, name: &str) -> Option<i64> {
    list?.get(name).map(milli).filter(|amount| *amount != 0)
}

fn requests(container: &Container) -> Option<&List> {
    container.resources.as_ref()?.requests.as_ref()
}

fn limits(container: &Container) -> Option<&List> {
    container.resources.as_ref()?.limits.as_ref()
}

/// The most that is used at once, in thousandths, and whether every container names an amount.
fn total(spec: &PodSpec, name: &str, list: impl Fn(&Container) -> Option<&List>) -> (i64, bool) {
    let mut all = true;
    let mut amount = |container: &Container| {
        let amount = of_list(list(container), name);
        all &= amount.is_some();
        amount.unwrap_or(0)
    };
    let mut running = 0_i64;
    let mut most = 0_i64;
    for init in spec.init_containers.iter().flatten() {
        let own = amount(init);
        if is_sidecar(spec, init) {
            running = running.saturating_add(own);
            most = most.max(running);
        } else {
            most = most.max(running.saturating_add(own));
        }
    }
    for container in &spec.containers {
        running = running.saturating_add(amount(container));
    }
    (most.max(running), all)
}

fn huge_page_names(spec: &PodSpec) -> Vec<String> {
    let of_containers = super::qos::containers(spec).filter_map(|c| c.resources.as_ref());
    let lists = of_containers.chain(&spec.resources);
    let names = lists.flat_map(|resources| {
        let both = [&resources.requests, &resources.limits];
        both.into_iter().flatten().flat_map(BTreeMap::keys)
    });
    let mut names: Vec<_> = names
        .filter(|name| name.starts_with("hugepages-"))
        .cloned()
        .collect();
    names.sort();
    names.dedup();
    names
}

/// What a sandbox is told of its pod's resources, for runtimes that want to know beforehand.
pub(super) fn sandbox_resources(pod: &Pod, node: &NodeFacts) -> LinuxContainerResources {
    let Some(spec) = &pod.spec else {
        return LinuxContainerResources::default();
    };
    let pod = PodResources::of(spec);
    let thousandths = |amount: i64| Quantity(format!("{amount}m"));
    let bytes = |amount: i64| Quantity(amount.to_string());
    let sum = |name: &str| total(spec, name, limits).0;
    let cpu = thousandths(pod.cpu_limit.unwrap_or_else(|| sum("cpu")));
    let memory = bytes(pod.memory_limit.unwrap_or_else(|| in_whole(sum("memory"))));
    linux(
        Some(&thousandths(pod.cpu_request)),
        Some(&cpu),
        Some(&memory),
        node,
    )
}

/// What the runtime itself takes for the pod: `spec.overhead`.
pub(super) fn overhead(pod: &Pod, node: &NodeFacts) -> LinuxContainerResources {
    let given = pod.spec.as_ref().and_then(|spec| spec.overhead.as_ref());
    match given {
        Some(list) => linux(list.get("cpu"), list.get("cpu"), list.get("memory"), node),
        None => LinuxContainerResources::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{facts, pod};

    #[test]
    fn shares_and_quotas() {
        for (cpu, expected, time) in [
            (0, 2, 0),
            (1, 2, 1000),
            (2, 2, 1000),
            (10, 10, 1000),
            (100, 102, 10_000),
            (1000, 1024, 100_000),
            (2500, 2560, 250_000),
            (1_000_000, 262_144, 100_000_000),
        ] {
            assert_eq!(shares(cpu), expected, "{cpu}m");
            assert_eq!(quota(cpu, 100_000), time, "{cpu}m");
        }
    }

    #[test]
    fn containers_get_what_they_ask_for() {
        let shown = |r: &LinuxContainerResources| {
            (
                r.cpu_shares,
                r.cpu_quota,
                r.memory_limit_in_bytes,
                r.oom_score_adj,
            )
        };
        for (spec, expected) in [
            ("containers: [{name: a}]", (2, 0, 0, 1000)),
            (
                "containers: [{name: a, resources: {requests: {cpu: 250m}, limits: {cpu: 500m, memory: 64Mi}}}]",
                (256, 50_000, 64 << 20, 999),
            ),
            (
                "containers: [{name: a, resources: {limits: {cpu: '1', memory: 1Gi}}}]",
                (1024, 100_000, 1 << 30, -997),
            ),
            (
                "resources: {limits: {cpu: '2', memory: 1Gi}}\ncontainers: [{name: a, resources: {requests: {cpu: 100m}}}]",
                (102, 200_000, 1 << 30, -997),
            ),
        ] {
            let pod = pod(spec);
            let container = &pod.spec.as_ref().expect("has one").containers[0];
            let made = container_resources(&pod, container, &facts());
            assert_eq!(shown(&made), expected, "{spec}");
            assert_eq!(made.cpu_period, 100_000);
        }
        let mut node = facts();
        node.cpu_quota = false;
        let pod = pod("containers: [{name: a, resources: {limits: {cpu: '1'}}}]");
        let container = &pod.spec.as_ref().expect("has one").containers[0];
        let made = container_resources(&pod, container, &node);
        assert_eq!((made.cpu_quota, made.cpu_period), (0, 0));
    }

    #[test]
    fn huge_pages_are_forbidden_unless_asked_for() {
        let mut node = facts();
        node.huge_pages = vec!["2MB".to_owned(), "1GB".to_owned()];
        let pod = pod("containers: [{name: a, resources: {limits: {hugepages-2Mi: 4Mi}}}]");
        let container = &pod.spec.as_ref().expect("has one").containers[0];
        let made = container_resources(&pod, container, &node).hugepage_limits;
        let made: Vec<_> = made.into_iter().map(|l| (l.page_size, l.limit)).collect();
        assert_eq!(made, [("2MB".to_owned(), 4 << 20), ("1GB".to_owned(), 0)]);
        assert_eq!(page_size("hugepages-64Ki").as_deref(), Some("64KB"));
        assert_eq!(page_size("hugepages-x"), None);
    }

    #[test]
    fn a_pod_needs_the_most_that_runs_at_once() {
        for (spec, request, limit, memory) in [
            ("containers: [{name: a}, {name: b}]", 0, None, None),
            (
                "containers: [{name: a, resources: {requests: {cpu: 100m}, limits: {cpu: 200m, memory: 1Mi}}}, \
                 {name: b, resources: {limits: {cpu: 300m, memory: 1Mi}}}]",
                400,
                Some(500),
                Some(2 << 20),
            ),
            (
                "initContainers: [{name: i, resources: {limits: {cpu: '1'}}}]\n\
                 containers: [{name: a, resources: {limits: {cpu: 200m}}}]",
                1000,
                Some(1000),
                None,
            ),
            (
                "initContainers: [{name: s, restartPolicy: Always, resources: {limits: {cpu: 100m}}}, \
                 {name: i, resources: {limits: {cpu: 300m}}}]\n\
                 containers: [{name: a, resources: {limits: {cpu: 200m}}}]",
                400,
                Some(400),
                None,
            ),
            (
                "resources: {requests: {cpu: 700m}, limits: {memory: 1Gi}}\ncontainers: [{name: a}]",
                700,
                None,
                Some(1 << 30),
            ),
        ] {
            let pod = pod(spec);
            let made = PodResources::of(pod.spec.as_ref().expect("has one"));
            assert_eq!(made.cpu_request, request, "{spec}");
            assert_eq!(made.cpu_limit, limit, "{spec}");
            assert_eq!(made.memory_limit, memory, "{spec}");
        }
    }
}
