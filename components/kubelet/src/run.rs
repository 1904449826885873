//! The whole kubelet.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use mainstay_client::leader::Fence;
use mainstay_client::metrics::Metrics;
use mainstay_client::{Access, AccessError, AccessOptions, Events, Informer, Informers, release};
use mainstay_cri::{Runtime, VersionRequest};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::admit::{Admission, NodeView};
use crate::certificates::{BootstrapError, Keeping, Serving, keep as keep_certificates, obtain};
use crate::cgroups::Cgroups;
use crate::config::Options;
use crate::context::Context;
use crate::figures::Figures;
use crate::healthz::{Looked, serve_healthz};
use crate::keep::{ImageGc, LogLimits, remove_containers, remove_dangling, rotate_logs};
use crate::limits::{
    CLEAN_INTERVAL, CONTAINERS_INTERVAL, IMAGES_INTERVAL, LOGS_INTERVAL, RELIST_INTERVAL,
    REQUESTS_MAX, RUNTIME_RETRY,
};
use crate::node::{
    Identity, Machine, Registration, allocatable, keep_lease, keep_registered, labels, own_address,
    read_machine,
};
use crate::report::Statuses;
use crate::runtime::{Images, Relister};
use crate::server::{Host, PairFiles, Server, ServerError, ServingError, shown};
use crate::sources::{
    Files, ManifestServer, ManifestServerError, Mirrors, Spoken, follow_api, follow_files,
    follow_server,
};
use crate::spec::{Layout, NodeFacts, ResolvConf};
use crate::volumes::Volumes;
use crate::worker::Pods;

/// Why a kubelet did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("client certificate: {0}")]
    Certificate(#[from] BootstrapError),
    #[error("--manifest-url: {0}")]
    Manifests(#[from] ManifestServerError),
    #[error("runtime: {0}")]
    Runtime(String),
    #[error("{0}: {1}")]
    Folder(PathBuf, std::io::Error),
    #[error("cgroups: {0}")]
    Cgroups(std::io::Error),
    #[error("healthz: {0}")]
    Health(std::io::Error),
    #[error("API: {0}")]
    Api(#[from] ServerError),
    #[error("API: {0}")]
    Port(std::io::Error),
    #[error("serving certificate: {0}")]
    Serving(#[from] ServingError),
    #[error("a part of it ended")]
    Part,
}

/// Runs until it is dropped. Pods go on without it.
///
/// # Errors
/// If it cannot start, or a part of it has failed.
pub async fn run(options: Options) -> Result<(), Ended> {
    let metrics = Metrics::default();
    let links = options.logs.with_file_name("containers");
    for folder in [&options.root, &options.logs, &links] {
        let made = tokio::fs::create_dir_all(folder).await;
        made.map_err(|error| Ended::Folder(folder.clone(), error))?;
    }
    let machine = read_machine(&options.root);
    let mut identity = identity(&options, &machine);
    let kubeconfig = &options.flags.kubeconfig;
    let certificate = obtain(&options.certificates, kubeconfig, &identity.name).await?;
    let access = AccessOptions {
        kubeconfig: Some(kubeconfig.clone()),
        masters: options.flags.master.clone(),
        certificate,
        name: "kubelet".to_owned(),
        requests_max: REQUESTS_MAX,
    };
    let access = Access::open(&access, &Fence::open(), &metrics).await?;
    let client = access.own()?;
    let runtime = Runtime::new(&options.endpoint).map_err(Ended::Runtime)?;
    let serving = Arc::new(Serving::default());
    let server = listen(&options, &mut identity, &client, &serving).await?;
    let runtime_name = runtime_name(&runtime).await;
    let informers = Informers::new(client.clone());
    let node = &identity.name;
    let api: Arc<Informer<Pod>> = informers.of_selected(&format!("spec.nodeName={node}"));
    let statuses = Statuses::new(
        client.clone(),
        Arc::clone(&api),
        mainstay_client::Queue::new(metrics.queue("pod_status")),
    );
    let facts = facts(&options, &identity, &machine);
    let cgroups = Cgroups::new(
        &options.cgroup_root,
        options.cgroup_driver,
        options.pids_max,
        &facts,
    );
    let cgroups = cgroups.map_err(Ended::Cgroups)?;
    let started = cgroups.start(facts.allocatable.clone()).await;
    started.map_err(Ended::Cgroups)?;
    let events = Events::start(client.clone(), "kubelet");
    let volumes = Volumes::new(client.clone(), events.clone(), facts.clone());
    let own = NodeView {
        name: node.clone(),
        labels: labels(&identity, &machine),
        taints: Vec::new(),
        allocatable: facts.allocatable.clone(),
    };
    let nodes = informers.of_selected::<Node>(&format!("metadata.name={node}"));
    let admission = Admission::new(client.clone(), nodes, own);
    let context = Arc::new(Context {
        admission,
        facts,
        volumes: Arc::clone(&volumes),
        cgroups: Arc::clone(&cgroups),
        images: Images::new(runtime.clone(), options.pulls),
        runtime: runtime.clone(),
        runtime_name,
        services: informers.of::<Service>(),
        events,
        statuses: statuses.clone(),
    });
    let pods = Pods::new(Arc::clone(&context));
    let mirrors = Mirrors::new(client.clone(), node, Arc::clone(&api), statuses.clone());
    let looked: Looked = Arc::new(Mutex::new(None));
    let manifests = &options.manifests;
    let spoken = Spoken::new(manifests.folder.is_some(), manifests.url.is_some());

    let figures = Figures::new(&metrics, node);
    let mut parts: JoinSet<Result<(), Ended>> = JoinSet::new();
    if let Some((server, pair)) = server {
        let host = Host {
            context: Arc::clone(&context),
            pods: pods.clone(),
            looked: Arc::clone(&looked),
            metrics: metrics.clone(),
            figures: figures.clone(),
            config: shown(&options),
        };
        parts.spawn(async move { Ok(server.run(host).await?) });
        if let Some(pair) = pair {
            parts.spawn(ended(pair.follow(Arc::clone(&serving))));
        }
    }
    if options.healthz.1 != 0 {
        let address = SocketAddr::from(options.healthz);
        let looked = Arc::clone(&looked);
        parts.spawn(async move { serve_healthz(address, looked).await.map_err(Ended::Health) });
    }
    let lease = access.for_leases(crate::limits::LEASE_INTERVAL)?;
    parts.spawn(ended(keep_certificates(Keeping {
        options: options.certificates.clone(),
        client: client.clone(),
        access,
        node: node.clone(),
        hosts: identity.hosts(),
        serving,
    })));
    parts.spawn(ended(keep_registered(Registration {
        client,
        runtime: runtime.clone(),
        identity: identity.clone(),
        machine,
        looked: Arc::clone(&looked),
    })));
    parts.spawn(ended(keep_lease(lease, node.clone())));
    parts.spawn(ended(statuses.run()));
    let keeper = pods.clone();
    parts.spawn(ended(async move { keeper.run().await }));
    if let Some(url) = &manifests.url {
        let server = ManifestServer::new(url, &manifests.headers, node)?;
        parts.spawn(ended(follow_server(
            server,
            manifests.url_interval,
            pods.clone(),
            mirrors.clone(),
            spoken.clone(),
        )));
    }
    if let Some(folder) = &manifests.folder {
        let files = Files::new(folder, node);
        parts.spawn(ended(follow_files(
            files,
            manifests.folder_interval,
            pods.clone(),
            mirrors.clone(),
            spoken.clone(),
        )));
    }
    parts.spawn(ended(mirrors.clone().run()));
    parts.spawn(ended(follow(
        Arc::clone(&context),
        api,
        pods.clone(),
        mirrors,
        spoken.clone(),
    )));
    parts.spawn(ended(volumes.run()));
    parts.spawn(ended(relist(context, pods, looked, spoken, figures)));
    parts.spawn(ended(keep(runtime, &options)));
    match parts.join_next().await {
        Some(Ok(Err(error))) => Err(error),
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        _ => Err(Ended::Part),
    }
}

/// Takes the port of the kubelet's API, with what is served there as certificate, if there is to be one: files, or what
/// the cluster signs.
async fn listen(
    options: &Options,
    identity: &mut Identity,
    client: &kube::Client,
    serving: &Arc<Serving>,
) -> Result<Option<(Server, Option<PairFiles>)>, Ended> {
    if !options.server.enabled {
        return Ok(None);
    }
    let certificates = &options.certificates;
    let pair = match &options.server.pair {
        _ if certificates.rotate_serving => None,
        Some(pair) => Some(pair.clone()),
        None => Some(PairFiles::own(
            &certificates.folder,
            &identity.name,
            &identity.addresses,
        )?),
    };
    if let Some(pair) = &pair {
        pair.load(serving)?;
    }
    let server = Server::bind(
        &options.server,
        options.port,
        &identity.name,
        client.clone(),
        Arc::clone(serving),
    );
    let server = server.await?;
    identity.port = server.port().map_err(Ended::Port)?;
    Ok(Some((server, pair)))
}

async fn ended(part: impl Future<Output = ()>) -> Result<(), Ended> {
    part.await;
    Err(Ended::Part)
}

/// Pods see services as variables: they wait until all services are known.
async fn follow(
    context: Arc<Context>,
    api: Arc<Informer<Pod>>,
    pods: Pods,
    mirrors: Mirrors,
    spoken: Spoken,
) {
    context.services.synced().await;
    api.synced().await;
    // What was taken before a new pod is looked at has its room.
    for pod in api.cache().all() {
        context.admission.resume(&pod);
    }
    follow_api(&api, &pods, &mirrors);
    spoken.api();
    std::future::pending().await
}

/// Looks at the runtime each second: what changed there wakes its pod, what nobody wants goes.
async fn relist(
    context: Arc<Context>,
    pods: Pods,
    looked: Looked,
    spoken: Spoken,
    figures: Figures,
) {
    let mut relister = Relister::new(context.runtime.clone());
    let mut ticks = interval(RELIST_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cleaned = Instant::now();
    let mut silent = false;
    loop {
        ticks.tick().await;
        let begun = Instant::now();
        let found = match relister.look().await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!("the runtime does not say what runs: {error}");
                silent = true;
                continue;
            }
        };
        if std::mem::take(&mut silent) {
            // What failed meanwhile need not wait until it would be tried again.
            pods.wake(&pods.uids());
        }
        *looked.lock() = Some(Instant::now());
        figures.relisted(&found, begun.elapsed().as_secs_f64());
        pods.wake(&found.changed);
        if spoken.all() {
            pods.remove_orphans(&found.present);
            if cleaned.elapsed() > CLEAN_INTERVAL {
                cleaned = Instant::now();
                clean(&context, &pods).await;
            }
        }
    }
}

/// Keeps the machine from filling up.
fn keep(runtime: Runtime, options: &Options) -> impl Future<Output = ()> + use<> {
    let links = options.logs.with_file_name("containers");
    let limits = LogLimits {
        size: options.log_size,
        files: options.log_files,
    };
    let mut images = ImageGc::new(runtime.clone(), options.image_gc);
    async move {
        let tick = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let mut logs = tick(LOGS_INTERVAL);
        let mut containers = tick(CONTAINERS_INTERVAL);
        let mut disk = tick(IMAGES_INTERVAL);
        loop {
            let done = tokio::select! {
                _ = logs.tick() => rotate_logs(&runtime, limits).await,
                _ = containers.tick() => {
                    if let Err(error) = remove_dangling(&links) {
                        tracing::warn!("{}: {error}", links.display());
                    }
                    remove_containers(&runtime).await
                }
                _ = disk.tick() => images.round().await.map(drop),
            };
            if let Err(error) = done {
                tracing::warn!("keeping room: {error}");
            }
        }
    }
}

/// Takes away what pods left that went while no kubelet ran, and gives each class of pods its share.
async fn clean(context: &Context, pods: &Pods) {
    let alive: HashSet<String> = pods.uids().into_iter().collect();
    context.volumes.clean(&alive).await;
    match context.cgroups.orphans(alive).await {
        Ok(uids) => {
            for uid in uids {
                if let Err(error) = context.cgroups.remove(&uid).await {
                    tracing::warn!(uid, "its cgroup stays: {error}");
                }
            }
        }
        Err(error) => tracing::warn!("cgroups of pods that are gone: {error}"),
    }
    if let Err(error) = context.cgroups.update(pods.living()).await {
        tracing::warn!("cgroups of classes: {error}");
    }
}

fn identity(options: &Options, machine: &Machine) -> Identity {
    let flags = &options.flags;
    let name = flags.hostname_override.clone();
    let name = name.unwrap_or_else(|| machine.hostname.clone());
    let addresses = match flags.node_ip.as_slice() {
        [] => vec![own_address()],
        given => given.to_vec(),
    };
    Identity {
        hostname: name.clone(),
        name,
        addresses,
        labels: options.labels.clone(),
        taints: options.taints.clone(),
        unschedulable: !flags.register_schedulable,
        provider_id: options.provider_id.clone(),
        pods_max: options.pods_max,
        port: options.port,
        version: release(),
        reserved: options.reserved,
    }
}

fn facts(options: &Options, identity: &Identity, machine: &Machine) -> NodeFacts {
    let resolver = match options.resolv_conf.as_str() {
        "" => None,
        path => Some(ResolvConf::parse(
            &std::fs::read_to_string(path).unwrap_or_default(),
        )),
    };
    let throttle = |cpu: &u32| {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle");
        std::path::Path::new(&path).exists()
    };
    NodeFacts {
        name: identity.name.clone(),
        addresses: identity.addresses.clone(),
        cluster_dns: options.cluster_dns.clone(),
        cluster_domain: options.cluster_domain.clone(),
        resolv_conf: resolver,
        memory: machine.memory,
        allocatable: allocatable(machine, options.pods_max, options.reserved),
        cpu_quota: options.cpu_quota,
        cpu_period: 100_000,
        seccomp_default: options.seccomp_default,
        huge_pages: machine
            .huge_pages
            .iter()
            .map(|pages| pages.runtime_name())
            .collect(),
        throttled_cpus: (0..u32::try_from(machine.cpus).unwrap_or(0))
            .filter(throttle)
            .collect(),
        limit_swap_v1: std::path::Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
            .exists(),
        hosts: "/etc/hosts".into(),
        layout: Layout {
            root: options.root.clone(),
            logs: options.logs.clone(),
        },
    }
}

/// Waits for the runtime: it may be started after the kubelet.
async fn runtime_name(runtime: &Runtime) -> String {
    loop {
        match runtime.call(VersionRequest::default()).await {
            Ok(version) => return version.runtime_name,
            Err(error) => tracing::warn!("waiting for the runtime: {error}"),
        }
        sleep(RUNTIME_RETRY).await;
    }
}
