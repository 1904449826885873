//! What a person sees when the cluster is there.

use std::time::Duration;

use crate::cluster::{Cluster, Means};
use crate::screen::say;
use crate::stock::BUSYBOX;

const FAKE: &str = "\
The workers are fake nodes: they tell of pods what a kubelet would tell, but no container runs
('mainstay doctor' says what is missing for that).";

const WITHOUT: &str = "Containers run; what is missing beside the kubelet, 'mainstay doctor' says:";

/// Where things are, and what to try first.
pub(super) fn show(cluster: &Cluster, means: Means, took: Duration) {
    let folders = cluster.folders();
    let this = std::env::current_exe().unwrap_or_else(|_| "mainstay".into());
    say(format!("\nReady after {:.1} s.", took.as_secs_f64()));
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

  alias mainstay='{} --dir {}'
  mainstay status
  mainstay kill master-1            # as if its power had gone
  kubectl get nodes
  mainstay start master-1
  mainstay logs master-2/apiserver
  mainstay exec master-2 sh         # a shell in a host
  mainstay down                     # stops all; 'up' goes on from there, 'down --delete' forgets it",
        folders.kubeconfig().display(),
        pods(means),
        this.display(),
        folders.root().display(),
    ));
}

fn pods(means: Means) -> String {
    let image = match means.containers {
        false => "  kubectl create deployment web --image=nginx:1.27 --replicas=3\n".to_owned(),
        true => format!(
            "  kubectl get pods -n kube-system
  kubectl create deployment web --image={BUSYBOX} --replicas=3 -- httpd -f -p 80 -h /etc
"
        ),
    };
    let service = match means.containers && means.proxy {
        false => "",
        true => {
            "  kubectl expose deployment web --port=80 --type=NodePort
  kubectl get service web           # the port after the colon answers on every worker: curl worker:port/hostname
"
        }
    };
    format!(
        "{image}  kubectl rollout status deployment/web
  kubectl get pods -o wide
{service}"
    )
}
