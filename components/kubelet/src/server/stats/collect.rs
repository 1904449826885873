//! Puts together what is used.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod as PodObject;
use mainstay_cri::{
    ContainerStats, ContainerStatsFilter, CpuUsage, CriError, FilesystemUsage, ImageFsInfoRequest,
    ListContainerStatsRequest, ListContainersRequest, ListPodSandboxRequest, MemoryUsage,
    NetworkInterfaceUsage, PodSandboxFilter, PodSandboxState, PodSandboxStateValue,
    PodSandboxStats, PodSandboxStatsRequest, UInt64Value,
};
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use super::rates::Rates;
use super::summary::{
    Container, Cpu, Fs, Interface, Memory, Network, Node, Pod, PodRef, ProcessCount, Processes,
    Runtime, Summary,
};
use super::usage;
use crate::cgroups::Hierarchy;
use crate::context::Context;
use crate::labels::{CONTAINER_NAME, POD_UID};
use crate::limits::{STATS_INTERVAL, STATS_QUESTIONS_MAX};
use crate::worker::Pods;

/// Finds out what is used. Cheap to clone.
#[derive(Clone)]
pub(in crate::server) struct Stats {
    context: Arc<Context>,
    pods: Pods,
    hierarchy: Arc<Hierarchy>,
    rates: Arc<Mutex<Rates>>,
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stats").finish_non_exhaustive()
    }
}

/// What the runtime says.
struct Told {
    /// By pod's uid.
    containers: HashMap<String, Vec<ContainerStats>>,
    sandboxes: HashMap<String, PodSandboxStats>,
    /// Nanoseconds since 1970, by container's id.
    created: HashMap<String, i64>,
    images: Vec<FilesystemUsage>,
}

impl Stats {
    /// # Errors
    /// If there are no cgroups.
    pub(in crate::server) fn new(context: Arc<Context>, pods: Pods) -> std::io::Result<Self> {
        Ok(Self {
            context,
            pods,
            hierarchy: Arc::new(Hierarchy::detect()?),
            rates: Arc::default(),
        })
    }

    /// Looks now and then, so that whoever asks has rates; until it is dropped.
    pub(in crate::server) async fn run(self) {
        let mut ticks = interval(STATS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.summary(true).await {
                tracing::debug!("what pods use is not known: {error}");
            }
            self.rates.lock().tidy();
        }
    }

    /// All there is; `brief`: only CPU and memory.
    ///
    /// # Errors
    /// If the runtime does not say.
    pub(in crate::server) async fn summary(&self, brief: bool) -> Result<Summary, CriError> {
        let told = self.ask(brief).await?;
        let stats = self.clone();
        let counted = tokio::task::spawn_blocking(move || stats.count(&told, brief)).await;
        counted.map_err(|_| CriError::incomplete("figures"))
    }

    async fn ask(&self, brief: bool) -> Result<Told, CriError> {
        let runtime = &self.context.runtime;
        let request = ListContainerStatsRequest {
            filter: Some(ContainerStatsFilter::default()),
        };
        let mut containers: HashMap<String, Vec<ContainerStats>> = HashMap::new();
        for stats in runtime.call(request).await?.stats {
            let labels = stats.attributes.as_ref().map(|known| &known.labels);
            if let Some(uid) = labels.and_then(|labels| labels.get(POD_UID)) {
                containers.entry(uid.clone()).or_default().push(stats);
            }
        }
        let created = runtime.call(ListContainersRequest::default()).await?;
        let created = created.containers.into_iter();
        let mut sandboxes = HashMap::new();
        let mut images = Vec::new();
        if !brief {
            sandboxes = self.ask_sandboxes().await?;
            let info = runtime.call(ImageFsInfoRequest {}).await?;
            images = info.image_filesystems;
        }
        Ok(Told {
            containers,
            sandboxes,
            created: created.map(|one| (one.id, one.created_at)).collect(),
            images,
        })
    }

    /// One by one: containerd 1.6 tells nothing of any if one of all has ended.
    async fn ask_sandboxes(&self) -> Result<HashMap<String, PodSandboxStats>, CriError> {
        let runtime = &self.context.runtime;
        let ready = ListPodSandboxRequest {
            filter: Some(PodSandboxFilter {
                state: Some(PodSandboxStateValue {
                    state: PodSandboxState::Ready as i32,
                }),
                ..PodSandboxFilter::default()
            }),
        };
        let ready = runtime.call(ready).await?.items;
        let asked = stream::iter(ready).map(|sandbox| {
            let request = PodSandboxStatsRequest {
                pod_sandbox_id: sandbox.id,
            };
            let uid = sandbox.labels.get(POD_UID).cloned();
            async move {
                // One that has just ended, or a runtime that does not have this.
                let stats = runtime.call(request).await.ok()?.stats?;
                Some((uid?, stats))
            }
        });
        let told = asked.buffer_unordered(STATS_QUESTIONS_MAX);
        Ok(told.filter_map(std::future::ready).collect().await)
    }

    fn count(&self, told: &Told, brief: bool) -> Summary {
        let now = Timestamp::now();
        let pods = self.pods.living();
        let image_fs = told.images.iter().find_map(|images| {
            let place = images.fs_id.as_ref()?.mountpoint.clone();
            let mut fs = usage::file_system(&PathBuf::from(place))?;
            fs.time = time(now);
            Some((fs, number(&images.used_bytes), number(&images.inodes_used)))
        });
        let disk = image_fs.as_ref().map(|(fs, _, _)| fs);
        Summary {
            node: self.node(image_fs.as_ref(), now, brief),
            pods: pods
                .iter()
                .filter_map(|pod| self.pod(pod, told, disk, now, brief))
                .collect(),
        }
    }

    fn node(
        &self,
        images: Option<&(Fs, Option<u64>, Option<u64>)>,
        now: Timestamp,
        brief: bool,
    ) -> Node {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let all = self.context.cgroups.root();
        let started = text("/proc/stat");
        let started = started
            .lines()
            .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
            .and_then(|seconds| Timestamp::from_second(seconds).ok());
        let started = started.map(time).unwrap_or_default();
        let mut node = Node {
            node_name: self.context.facts.name.clone(),
            start_time: started.clone(),
            cpu: self.cgroup_cpu("node", "/", now),
            memory: usage::machine_memory(&text("/proc/meminfo")).map(|found| at(found, now)),
            system_containers: vec![Container {
                name: "pods".to_owned(),
                start_time: started,
                cpu: self.cgroup_cpu("pods", &all, now),
                memory: usage::memory(&self.hierarchy, &all).map(|found| at(found, now)),
                ..Container::default()
            }],
            ..Node::default()
        };
        if brief {
            return node;
        }
        let route = text("/proc/net/route");
        let mut network = usage::network(&text("/proc/net/dev"), usage::way_out(&route));
        network.time = time(now);
        node.network = Some(network);
        node.fs = usage::file_system(&self.context.facts.layout.root).map(|fs| Fs {
            time: time(now),
            ..fs
        });
        let used = images.map(|(fs, bytes, inodes)| Fs {
            used_bytes: bytes.or(fs.used_bytes),
            inodes_used: inodes.or(fs.inodes_used),
            ..fs.clone()
        });
        node.runtime = Some(Runtime {
            container_fs: used.clone(),
            image_fs: used,
        });
        let load = text("/proc/loadavg");
        let running = load.split_whitespace().nth(3);
        let running = running.and_then(|words| words.split_once('/')?.1.parse().ok());
        node.rlimit = Some(Processes {
            time: time(now),
            maxpid: text("/proc/sys/kernel/pid_max").trim().parse().ok(),
            curproc: running,
        });
        node
    }

    fn pod(
        &self,
        pod: &PodObject,
        told: &Told,
        disk: Option<&Fs>,
        now: Timestamp,
        brief: bool,
    ) -> Option<Pod> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let stats = told.containers.get(&uid);
        let sandbox = told.sandboxes.get(&uid);
        // Nothing of it runs.
        if stats.is_none() && sandbox.is_none() {
            return None;
        }
        let containers: Vec<Container> = newest(stats, &told.created)
            .into_iter()
            .map(|(one, created)| self.container(pod, one, created, disk, now, brief))
            .collect();
        let cgroup = self.context.cgroups.parent_of(pod);
        let status = self.context.statuses.latest(&uid);
        let started = status.and_then(|status| status.start_time).map(|at| at.0);
        let mut made = Pod {
            start_time: started.map(time).unwrap_or_else(|| time(now)),
            cpu: self.cgroup_cpu(&format!("pod/{uid}"), &cgroup, now),
            memory: usage::memory(&self.hierarchy, &cgroup).map(|found| at(found, now)),
            pod_ref: PodRef {
                name: pod.metadata.name.clone().unwrap_or_default(),
                namespace: pod.metadata.namespace.clone().unwrap_or_default(),
                uid,
            },
            containers,
            ..Pod::default()
        };
        if brief {
            return Some(made);
        }
        let linux = sandbox.and_then(|sandbox| sandbox.linux.as_ref());
        made.network = linux
            .and_then(|linux| linux.network.as_ref())
            .map(|network| Network {
                time: moment(network.timestamp, now).0,
                main: network
                    .default_interface
                    .as_ref()
                    .map(interface)
                    .unwrap_or_default(),
                interfaces: network
                    .default_interface
                    .iter()
                    .chain(&network.interfaces)
                    .map(interface)
                    .collect(),
            });
        made.processes = linux
            .and_then(|linux| linux.process.as_ref())
            .map(|processes| ProcessCount {
                process_count: number(&processes.process_count),
            });
        made.ephemeral_storage = ephemeral(&made.containers, disk, now);
        Some(made)
    }

    fn container(
        &self,
        pod: &PodObject,
        stats: &ContainerStats,
        created: i64,
        disk: Option<&Fs>,
        now: Timestamp,
        brief: bool,
    ) -> Container {
        let known = stats.attributes.as_ref();
        let name = known.and_then(|known| known.labels.get(CONTAINER_NAME));
        let name = name.cloned().unwrap_or_default();
        let id = known.map(|known| known.id.as_str()).unwrap_or_default();
        let mut made = Container {
            start_time: moment(created, now).0,
            started: created as f64 / 1e9,
            cpu: stats.cpu.as_ref().map(|cpu| self.told_cpu(id, cpu, now)),
            memory: stats.memory.as_ref().map(|memory| told_memory(memory, now)),
            ..Container::default()
        };
        if !brief {
            let layer = stats.writable_layer.as_ref();
            made.rootfs = layer.map(|layer| Fs {
                time: moment(layer.timestamp, now).0,
                used_bytes: number(&layer.used_bytes),
                inodes_used: number(&layer.inodes_used),
                ..disk.cloned().unwrap_or_default()
            });
            let folder = self.context.facts.layout.pod_logs(pod).join(&name);
            made.logs = usage::file_system(&folder).map(|fs| {
                let (bytes, inodes) = usage::folder_usage(&folder);
                Fs {
                    time: time(now),
                    used_bytes: Some(bytes),
                    inodes_used: Some(inodes),
                    ..fs
                }
            });
        }
        made.name = name;
        made
    }

    fn cgroup_cpu(&self, name: &str, cgroup: &str, now: Timestamp) -> Option<Cpu> {
        let used = usage::cpu(&self.hierarchy, cgroup)?;
        Some(self.rated(name, now, used, None))
    }

    fn told_cpu(&self, id: &str, cpu: &CpuUsage, now: Timestamp) -> Cpu {
        let at = Timestamp::from_nanosecond(i128::from(cpu.timestamp));
        let at = at.ok().filter(|at| at.as_second() > 0).unwrap_or(now);
        let rate = number(&cpu.usage_nano_cores);
        match number(&cpu.usage_core_nano_seconds) {
            Some(used) => self.rated(id, at, used, rate),
            None => Cpu {
                time: time(at),
                at: at.as_millisecond(),
                usage_nano_cores: rate,
                usage_core_nano_seconds: None,
            },
        }
    }

    fn rated(&self, name: &str, at: Timestamp, used: u64, rate: Option<u64>) -> Cpu {
        let nanos = i64::try_from(at.as_nanosecond()).unwrap_or(0);
        let seen = self.rates.lock().see(name, nanos, used);
        Cpu {
            time: time(at),
            at: at.as_millisecond(),
            usage_nano_cores: seen.or(rate),
            usage_core_nano_seconds: Some(used),
        }
    }
}

/// Of each name the newest one, with when it was made.
fn newest<'a>(
    stats: Option<&'a Vec<ContainerStats>>,
    created: &HashMap<String, i64>,
) -> Vec<(&'a ContainerStats, i64)> {
    let mut found: Vec<(&str, &ContainerStats, i64)> = Vec::new();
    for one in stats.into_iter().flatten() {
        let Some(known) = &one.attributes else {
            continue;
        };
        let name = known.labels.get(CONTAINER_NAME).map_or("", String::as_str);
        let at = created.get(&known.id).copied().unwrap_or(0);
        match found.iter_mut().find(|(other, _, _)| *other == name) {
            Some(older) if older.2 < at => *older = (name, one, at),
            Some(_) => {}
            None => found.push((name, one, at)),
        }
    }
    found.sort_by_key(|(name, _, _)| *name);
    found.into_iter().map(|(_, one, at)| (one, at)).collect()
}

/// What containers have written together.
fn ephemeral(containers: &[Container], disk: Option<&Fs>, now: Timestamp) -> Option<Fs> {
    let disk = disk?;
    let all = || {
        containers
            .iter()
            .flat_map(|one| [one.rootfs.as_ref(), one.logs.as_ref()])
            .flatten()
    };
    Some(Fs {
        time: time(now),
        used_bytes: Some(all().filter_map(|fs| fs.used_bytes).sum()),
        inodes_used: Some(all().filter_map(|fs| fs.inodes_used).sum()),
        ..disk.clone()
    })
}

fn told_memory(told: &MemoryUsage, now: Timestamp) -> Memory {
    let (time, at) = moment(told.timestamp, now);
    Memory {
        time,
        at,
        // Runtimes tell more than there can be where there is no limit.
        available_bytes: number(&told.available_bytes).filter(|bytes| *bytes < 1 << 62),
        usage_bytes: number(&told.usage_bytes),
        working_set_bytes: number(&told.working_set_bytes),
        rss_bytes: number(&told.rss_bytes),
        page_faults: number(&told.page_faults),
        major_page_faults: number(&told.major_page_faults),
    }
}

fn at(memory: Memory, now: Timestamp) -> Memory {
    Memory {
        time: time(now),
        at: now.as_millisecond(),
        ..memory
    }
}

fn interface(told: &NetworkInterfaceUsage) -> Interface {
    Interface {
        name: told.name.clone(),
        rx_bytes: number(&told.rx_bytes),
        rx_errors: number(&told.rx_errors),
        tx_bytes: number(&told.tx_bytes),
        tx_errors: number(&told.tx_errors),
    }
}

fn number(value: &Option<UInt64Value>) -> Option<u64> {
    value.as_ref().map(|value| value.value)
}

/// Nanoseconds since 1970 as text and as milliseconds; now for none.
fn moment(nanos: i64, now: Timestamp) -> (String, i64) {
    let at = Timestamp::from_nanosecond(i128::from(nanos));
    let at = at.ok().filter(|at| at.as_second() > 0).unwrap_or(now);
    (time(at), at.as_millisecond())
}

fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}
