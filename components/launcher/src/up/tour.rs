//! What a person sees when the cluster is there.

use std::time::Duration;

use crate::cluster::{Cluster, Embedded, Means};
use crate::screen::say;
use crate::stock::BUSYBOX;

const FAKE: &str = "\
The workers are fake nodes: they tell of pods what a kubelet would tell, but no container runs
('mainstay doctor' says what is missing for that).";

const WITHOUT: &str = "Containers run; what is missing beside the kubelet, 'mainstay doctor' says:";

/// Where things are, and what to try first.
pub(super) fn show(cluster: &Cluster, means: Means, took: Duration) {
    say(format!("\nReady after {:.1} s.", took.as_secs_f64()));
    match &cluster.embedded {
        Some(embedded) => without_hosts(cluster, embedded),
        None => with_hosts(cluster, means),
    }
}

fn with_hosts(cluster: &Cluster, means: Means) {
    match means {
        Means {
            containers: false, ..
        } => say(FAKE),
        Means {
            proxy: true,
            dns: true,
            ..
        } => {}
        Means { proxy, dns, .. } => {
            let missing = [
                (proxy, "services have no way to pods"),
                (dns, "services have no names"),
            ];
            let missing = missing
                .iter()
                .filter(|(there, _)| !there)
                .map(|(_, what)| *what);
            say(format!(
                "{WITHOUT} {}.",
                missing.collect::<Vec<_>>().join(", ")
            ));
        }
    }
    say(format!(
        "
  export KUBECONFIG={}
  kubectl get nodes -o wide
{}
Any master may die: kubectl and all components go on with the others.

  {}
  mainstay status
  mainstay kill master-1            # as if its power had gone
  kubectl get nodes
  mainstay start master-1
  mainstay logs master-2/apiserver
  mainstay exec master-2 sh         # a shell in a host

The store's members are on the masters:

{}
{STOP}",
        cluster.folders().kubeconfig().display(),
        pods(cluster, means),
        alias(cluster),
        store(cluster),
    ));
}

fn without_hosts(cluster: &Cluster, embedded: &Embedded) {
    let first = embedded.members.first().map_or("m1", |one| &one.name);
    say(format!(
        "\
Members of the store: {}

{}
  {}
  mainstay kill {first}                  # it is started again; 'stop' and 'start' are there too
  mainstay status

On them a Kubernetes control plane. Its nodes are fake: they tell of pods what a kubelet would tell, but no container
runs anywhere.

  export KUBECONFIG={}
  kubectl get nodes -L topology.kubernetes.io/zone
  kubectl create deployment web --image=nginx:1.27 --replicas=3
  kubectl rollout status deployment/web
  kubectl get pods -o wide
  kubectl scale deployment/web --replicas=6
  kubectl drain fake-0 --ignore-daemonsets && kubectl uncordon fake-0
  kubectl set image deployment/web nginx=nginx:1.28 && kubectl rollout status deployment/web
  kubectl rollout undo deployment/web
{STOP}",
        embedded.endpoints(),
        store(cluster),
        alias(cluster),
        cluster.folders().kubeconfig().display(),
    ));
}

const STOP: &str = "
'mainstay down' stops all of it (so does 'make down', if 'make up' started it); 'up' goes on from there, and
'mainstay down --delete' forgets it.";

fn alias(cluster: &Cluster) -> String {
    let this = std::env::current_exe().unwrap_or_else(|_| "mainstay".into());
    let root = cluster.folders();
    format!(
        "alias mainstay='{} --dir {}'",
        this.display(),
        root.root().display()
    )
}

fn store(cluster: &Cluster) -> String {
    format!(
        "  . {}
  etcdctl put greeting hello
  etcdctl get greeting
  etcdctl watch greeting            # then put again from another terminal
  etcdctl endpoint status -w table",
        cluster.folders().store_access().display()
    )
}

fn pods(cluster: &Cluster, means: Means) -> String {
    let image = match means.containers {
        false => "  kubectl create deployment web --image=nginx:1.27 --replicas=3\n".to_owned(),
        true => format!(
            "  kubectl get pods -n kube-system
  kubectl create deployment web --image={BUSYBOX} --replicas=3 -- httpd -f -p 80 -h /etc
"
        ),
    };
    let worker = cluster
        .workers()
        .next()
        .filter(|_| means.containers && means.proxy);
    let service = worker.map(|worker| {
        format!(
            "  kubectl expose deployment web --port=80 --type=NodePort
  curl {}:$(kubectl get service web -o 'jsonpath={{.spec.ports[0].nodePort}}')/hostname  # every worker answers
",
            worker.address
        )
    });
    let service = service.unwrap_or_default();
    format!(
        "{image}  kubectl rollout status deployment/web
  kubectl get pods -o wide
{service}"
    )
}
