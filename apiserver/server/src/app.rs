//! Putting a server together, running it, and ending it.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Parser as _;
use mainstay_apiplanted::{Mistake, makes};
use mainstay_apistore::{
    CacheConfig, Client, ClientConfig, Compactor, LeasePool, ResourceCache, RingLimits,
};
use mainstay_auth::node::NodeAuthorizer;
use mainstay_auth::rbac::RbacAuthorizer;
use mainstay_auth::{Authorizer, Masters, OpenPaths, Union};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::admission::{Admission, Lookup};
use crate::components::Components;
use crate::flags::{AuthorizationMode, Flags};
use crate::health::{Health, Page};
use crate::identity::Identity;
use crate::inflight::Inflight;
use crate::kubelet::{self, Kubelets};
use crate::limits::{POD_DIAL_TIMEOUT, STREAM_END_TIMEOUT};
use crate::metrics::Metrics;
use crate::pki::{self, Names};
use crate::proxy::{Backend, Dialer, Room, towards_pods};
use crate::registry::{Keys, Parsed, Registry, decoder};
use crate::server::Server;
use crate::services::Allocators;
use crate::tls::{Files, Tls};
use crate::{loops, serve};

/// Why a server did not start or had to end.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Time for all caches to be filled before what is missing is said again.
const WARM_UP: Duration = Duration::from_secs(10);
/// Pause between two attempts to write what every cluster has.
const BOOTSTRAP_PAUSE: Duration = Duration::from_secs(1);
/// How often leftovers of services are looked for.
const LEFTOVERS_EVERY: Duration = Duration::from_secs(180);
/// How often the store is asked whether it answers.
const HEALTH_EVERY: Duration = Duration::from_secs(5);

/// The program: reads its flags, and serves until a signal ends it.
pub fn main() -> ExitCode {
    let flags = Flags::parse();
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("{e}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until a signal ends it.
fn run(flags: &Flags) -> Result<(), Failure> {
    start_log();
    let threads = flags.threads.map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        |threads| threads.max(1),
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("serve")
        .enable_all()
        .build()?;
    runtime.block_on(serve(flags))
}

fn start_log() {
    let filter = std::env::var("APISERVER_LOG").unwrap_or_else(|_| "info".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

async fn serve(flags: &Flags) -> Result<(), Failure> {
    let listener = TcpListener::bind(flags.bind()).await?;
    let port = listener.local_addr()?.port();
    let advertised = flags.advertised();
    let Certificates {
        signing: pki,
        serving: files,
        kubelet,
    } = certificates(flags, advertised, port)?;
    let tls = Arc::new(Tls::load(files)?);
    let client = Client::new(&store_config(flags)?)?;
    let health = Arc::new(Health::default());
    let lookup = Lookup::default();
    let external = SocketAddr::new(advertised, port);
    let identity = Arc::new(Identity::new(
        flags,
        &pki,
        &external.to_string(),
        lookup.clone(),
    )?);
    let rbac = Arc::new(RbacAuthorizer::default());
    let node = Arc::new(NodeAuthorizer::new(&[]));
    let authorizer = authorizer(flags, &rbac, &node);
    let (end, ending) = watch::channel(false);
    let metrics = Arc::new(Metrics::default());
    let keys = Keys::new(&flags.etcd_prefix);
    let kubelets = Arc::new(Kubelets::load(
        kubelet,
        flags.kubelet_preferred_address_types.clone(),
        flags.kubelet_port,
        flags.kubelet_timeout,
    )?);
    let room = Room::new(ending.clone());
    let pods = Backend::new(Dialer::new(towards_pods(), POD_DIAL_TIMEOUT));
    let registry = Arc::new(Registry {
        caches: caches(&client, &keys),
        parsed: Parsed::default(),
        leases: LeasePool::new(client.clone()),
        event_ttl: flags.event_ttl,
        admission: Admission {
            lookup: lookup.clone(),
            allocators: Allocators {
                lookup: lookup.clone(),
                addresses: flags.service_cluster_ip_range.trunc(),
                ports: flags.service_node_port_range,
                suspects: Arc::default(),
            },
            rbac: Arc::clone(&rbac),
            authorizer: Arc::clone(&authorizer),
        },
        authorizer: Arc::clone(&authorizer),
        identity: Arc::clone(&identity),
        components: Components {
            client: client.clone(),
            masters: pods.clone(),
        },
        kubelets: Arc::clone(&kubelets),
        pods,
        room: room.clone(),
        metrics: Arc::clone(&metrics),
        watch_seconds: flags.min_request_timeout,
        ending: ending.clone(),
        keys,
        client,
    });
    lookup.set(&registry);
    let server = Arc::new(Server {
        registry: Arc::clone(&registry),
        identity,
        authorizer,
        tls: Arc::clone(&tls),
        inflight: Inflight::new(
            flags.max_requests_inflight,
            flags.max_mutating_requests_inflight,
        ),
        health: Arc::clone(&health),
        metrics,
        request_timeout: flags.request_timeout,
        address: external,
        ending: AtomicBool::new(false),
    });
    loops::feed_authorizer(&registry, &rbac);
    loops::feed_nodes(&registry, &node);
    tokio::spawn(prepare(
        Arc::clone(&registry),
        Arc::clone(&health),
        flags.clone(),
        port,
        Arc::clone(&tls),
    ));
    tokio::spawn(watch_store(Arc::clone(&registry), Arc::clone(&health)));
    tokio::spawn(Arc::clone(&tls).follow(ending.clone()));
    tokio::spawn(kubelets.follow(ending.clone()));
    tokio::spawn(Compactor::new(registry.client.clone()).run());
    tracing::info!(address = %external, "serving");
    let stop = Stop {
        server: Arc::clone(&server),
        health,
        end,
        delay: flags.shutdown_delay_duration,
    };
    serve::serve(listener, tls, server, stop.wait()).await;
    // Streams have ended by now, but may have to say so.
    let _ = timeout(STREAM_END_TIMEOUT, room.empty()).await;
    tracing::info!("stopped");
    Ok(())
}

/// What ends a server, in order: it says that it is not ready, waits for those who listen, and ends its watches.
struct Stop {
    server: Arc<Server>,
    health: Arc<Health>,
    end: watch::Sender<bool>,
    delay: Duration,
}

impl Stop {
    async fn wait(self) {
        let listen = |kind| signal(kind).map_err(|e| tracing::error!("signals: {e}"));
        let (Ok(mut term), Ok(mut int)) = (
            listen(SignalKind::terminate()),
            listen(SignalKind::interrupt()),
        ) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("received a signal; shutting down");
        if makes(Mistake::AbruptEnd) {
            std::process::exit(0);
        }
        self.health.expect("shutdown", Page::Ready);
        self.health
            .set("shutdown", Some("process is shutting down".to_owned()));
        sleep(self.delay).await;
        self.server
            .ending
            .store(true, std::sync::atomic::Ordering::Relaxed);
        // Nobody listening is no failure: there may be no watches.
        let _ = self.end.send(true);
    }
}

/// What a server needs, as files.
struct Certificates {
    /// Key of service-account tokens.
    signing: std::path::PathBuf,
    serving: Files,
    /// Towards kubelets.
    kubelet: kubelet::Files,
}

fn certificates(flags: &Flags, advertised: IpAddr, port: u16) -> Result<Certificates, Failure> {
    let given_pair = flags.kubelet_client_certificate.clone();
    let given_pair = given_pair.zip(flags.kubelet_client_key.clone());
    let towards_kubelets = |made| kubelet::Files {
        identity: given_pair.or(made),
        authority: flags.kubelet_certificate_authority.clone(),
    };
    let given = (
        &flags.tls_cert_file,
        &flags.tls_private_key_file,
        &flags.client_ca_file,
        &flags.service_account_signing_key_file,
    );
    if let (Some(cert), Some(key), Some(ca), Some(signing)) = given {
        let files = Files {
            cert: cert.clone(),
            key: key.clone(),
            client_ca: ca.clone(),
        };
        return Ok(Certificates {
            signing: signing.clone(),
            serving: files,
            kubelet: towards_kubelets(None),
        });
    }
    let first = Ipv4Addr::from(u32::from(flags.service_cluster_ip_range.network()) + 1);
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let names = Names::of([advertised, local, IpAddr::V4(first)]);
    let own = match flags.bind_address.is_unspecified() {
        true => local,
        false => flags.bind_address,
    };
    let url = format!("https://{}", SocketAddr::new(own, port));
    let pki = pki::ensure(&flags.cert_dir, &names, &url)?;
    let or = |given: &Option<std::path::PathBuf>, made: &std::path::Path| {
        given.clone().unwrap_or_else(|| made.to_path_buf())
    };
    let files = Files {
        cert: or(&flags.tls_cert_file, &pki.cert),
        key: or(&flags.tls_private_key_file, &pki.key),
        client_ca: or(&flags.client_ca_file, &pki.ca),
    };
    let signing = or(
        &flags.service_account_signing_key_file,
        &pki.service_accounts,
    );
    Ok(Certificates {
        signing,
        serving: files,
        kubelet: towards_kubelets(Some(pki.kubelet_client)),
    })
}

fn store_config(flags: &Flags) -> Result<ClientConfig, Failure> {
    let config = ClientConfig::new(flags.etcd_servers.iter().map(String::as_str));
    let read = |path: &Option<std::path::PathBuf>| -> Result<Option<Vec<u8>>, Failure> {
        match path {
            None => Ok(None),
            Some(path) => match std::fs::read(path) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(e) => Err(format!("{}: {e}", path.display()).into()),
            },
        }
    };
    let (ca, cert, key) = (
        read(&flags.etcd_cafile)?,
        read(&flags.etcd_certfile)?,
        read(&flags.etcd_keyfile)?,
    );
    Ok(match ca {
        None => config,
        Some(authority) => config.with_tls(mainstay_apistore::Tls {
            authority,
            identity: cert.zip(key),
            server_name: None,
        }),
    })
}

fn authorizer(
    flags: &Flags,
    rbac: &Arc<RbacAuthorizer>,
    node: &Arc<NodeAuthorizer>,
) -> Arc<dyn Authorizer> {
    let open = OpenPaths::new(&["/healthz", "/livez", "/readyz"]);
    let mut all: Vec<Arc<dyn Authorizer>> = vec![Arc::new(open), Arc::new(Masters)];
    for mode in &flags.authorization_mode {
        match mode {
            AuthorizationMode::Node => all.push(Arc::clone(node) as _),
            AuthorizationMode::Rbac => all.push(Arc::clone(rbac) as _),
            AuthorizationMode::AlwaysAllow => all.push(Arc::new(crate::always::Always(true))),
            AuthorizationMode::AlwaysDeny => all.push(Arc::new(crate::always::Always(false))),
        }
    }
    Arc::new(Union::new(all))
}

/// One cache for each prefix: versions of a kind share it.
fn caches(client: &Client, keys: &Keys) -> HashMap<String, Arc<ResourceCache>> {
    let mut caches = HashMap::new();
    let stored = mainstay_schema::resources()
        .iter()
        .filter(|resource| !resource.store_prefix.is_empty());
    for resource in stored {
        if caches.contains_key(&resource.store_prefix) {
            continue;
        }
        let gvk = resource.storage_gvk;
        let own =
            mainstay_schema::resource(gvk.group, gvk.version, resource.plural).unwrap_or(resource);
        let config = CacheConfig {
            prefix: keys.prefix(resource).into(),
            decode: decoder(own),
            ring: RingLimits::default(),
        };
        let cache = ResourceCache::start(client.clone(), config);
        caches.insert(resource.store_prefix.clone(), Arc::new(cache));
    }
    caches
}

/// Fills the caches and writes what every cluster has; then this server is ready.
async fn prepare(
    registry: Arc<Registry>,
    health: Arc<Health>,
    flags: Flags,
    port: u16,
    tls: Arc<Tls>,
) {
    let hooks = [
        "informer-sync",
        "poststarthook/start-system-namespaces-controller",
        "poststarthook/rbac/bootstrap-roles",
        "poststarthook/scheduling/bootstrap-system-priority-classes",
    ];
    for hook in hooks {
        health.expect(hook, Page::Ready);
    }
    for (prefix, cache) in &registry.caches {
        while let Err(e) = cache.ready(Instant::now() + WARM_UP).await {
            tracing::warn!("objects under {prefix} are not known yet: {e}");
        }
    }
    health.set(hooks[0], None);
    let range = flags.service_cluster_ip_range.trunc();
    while let Err(e) = loops::bootstrap(&registry, range, port).await {
        tracing::warn!("the objects every cluster has could not be written yet: {e}");
        sleep(BOOTSTRAP_PAUSE).await;
    }
    health.set(hooks[1], None);
    health.set(hooks[3], None);
    while let Err(e) = loops::reconcile_policy(&registry).await {
        tracing::warn!("the default roles could not be written yet: {e}");
        sleep(BOOTSTRAP_PAUSE).await;
    }
    health.set(hooks[2], None);
    if flags.aggregate_cluster_roles {
        loops::aggregate_roles(&registry);
    }
    tokio::spawn(loops::publish_trust(Arc::clone(&registry), tls));
    tracing::info!("ready");
    let address = flags.advertised();
    if address.is_loopback() {
        tracing::warn!(
            "this host has no address but loopback: the service kubernetes has no endpoint"
        );
    } else {
        let publishing = loops::publish_endpoints(Arc::clone(&registry), address, port);
        tokio::spawn(publishing);
    }
    let mut ending = registry.ending.clone();
    loop {
        tokio::select! {
            () = sleep(LEFTOVERS_EVERY) => {}
            _ = ending.changed() => return,
        }
        if let Err(e) = registry.admission.allocators.free_leftovers().await {
            tracing::warn!("leftovers of services were not looked for: {e}");
        }
    }
}

/// Keeps the check of the store current.
async fn watch_store(registry: Arc<Registry>, health: Arc<Health>) {
    health.expect("etcd", Page::Live);
    health.expect("etcd-readiness", Page::Ready);
    let mut ending = registry.ending.clone();
    loop {
        let failure = registry.client.current_revision().await.err();
        let failure = failure.map(|e| e.to_string());
        health.set("etcd", failure.clone());
        health.set("etcd-readiness", failure);
        tokio::select! {
            () = sleep(HEALTH_EVERY) => {}
            _ = ending.changed() => return,
        }
    }
}
