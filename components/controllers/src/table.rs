//! All controllers, and which of them run.

use std::collections::BTreeSet;
use std::fmt;

use futures_util::future::BoxFuture;

use crate::context::Context;
use crate::{
    account_tokens, approve_certificates, bootstrap_signer, bootstrap_token_cleaner,
    clean_certificates, cluster_role_aggregation, cron_jobs, daemonsets, deployments, disruption,
    endpoint_slices, endpoints, garbage_collector, jobs, legacy_token_cleaner, namespaces,
    node_ipam, node_lifecycle, pod_gc, replicasets, replication_controllers, resource_quotas,
    root_ca, service_accounts, sign_certificates, statefulsets, taint_eviction, ttl_after_finished,
};

/// The service account of a controller that works under the identity of the process: what it makes is what others
/// would need first.
pub(crate) const OWN_IDENTITY: &str = "";

/// One controller under upstream's names.
#[derive(Clone, Copy)]
pub struct Controller {
    /// As `--controllers` names it.
    pub name: &'static str,
    /// What it was called before, which `--controllers` knows as well.
    pub alias: &'static str,
    /// Whose credentials it has, in `kube-system`; also who tells its events. [`OWN_IDENTITY`] for none.
    pub service_account: &'static str,
    /// Whether `*` means it.
    pub by_default: bool,
    /// Works for ever.
    pub start: fn(Context) -> BoxFuture<'static, ()>,
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// In the order in which they are started.
pub static CONTROLLERS: &[Controller] = &[
    Controller {
        name: "serviceaccount-token-controller",
        alias: "serviceaccount-token",
        service_account: OWN_IDENTITY,
        by_default: true,
        start: |cx| Box::pin(account_tokens(cx)),
    },
    Controller {
        name: "namespace-controller",
        alias: "namespace",
        service_account: "namespace-controller",
        by_default: true,
        start: |cx| Box::pin(namespaces(cx)),
    },
    Controller {
        name: "serviceaccount-controller",
        alias: "serviceaccount",
        service_account: "service-account-controller",
        by_default: true,
        start: |cx| Box::pin(service_accounts(cx)),
    },
    Controller {
        name: "root-ca-certificate-publisher-controller",
        alias: "root-ca-cert-publisher",
        service_account: "root-ca-cert-publisher",
        by_default: true,
        start: |cx| Box::pin(root_ca(cx)),
    },
    Controller {
        name: "garbage-collector-controller",
        alias: "garbagecollector",
        service_account: "generic-garbage-collector",
        by_default: true,
        start: |cx| Box::pin(garbage_collector(cx)),
    },
    Controller {
        name: "node-ipam-controller",
        alias: "nodeipam",
        service_account: "node-controller",
        by_default: true,
        start: |cx| Box::pin(node_ipam(cx)),
    },
    Controller {
        name: "node-lifecycle-controller",
        alias: "nodelifecycle",
        service_account: "node-controller",
        by_default: true,
        start: |cx| Box::pin(node_lifecycle(cx)),
    },
    Controller {
        name: "taint-eviction-controller",
        alias: "taint-eviction",
        service_account: "node-controller",
        by_default: true,
        start: |cx| Box::pin(taint_eviction(cx)),
    },
    Controller {
        name: "pod-garbage-collector-controller",
        alias: "podgc",
        service_account: "pod-garbage-collector",
        by_default: true,
        start: |cx| Box::pin(pod_gc(cx)),
    },
    Controller {
        name: "resourcequota-controller",
        alias: "resourcequota",
        service_account: "resourcequota-controller",
        by_default: true,
        start: |cx| Box::pin(resource_quotas(cx)),
    },
    Controller {
        name: "job-controller",
        alias: "job",
        service_account: "job-controller",
        by_default: true,
        start: |cx| Box::pin(jobs(cx)),
    },
    Controller {
        name: "cronjob-controller",
        alias: "cronjob",
        service_account: "cronjob-controller",
        by_default: true,
        start: |cx| Box::pin(cron_jobs(cx)),
    },
    Controller {
        name: "ttl-after-finished-controller",
        alias: "ttl-after-finished",
        service_account: "ttl-after-finished-controller",
        by_default: true,
        start: |cx| Box::pin(ttl_after_finished(cx)),
    },
    Controller {
        name: "endpoints-controller",
        alias: "endpoint",
        service_account: "endpoint-controller",
        by_default: true,
        start: |cx| Box::pin(endpoints(cx)),
    },
    Controller {
        name: "endpointslice-controller",
        alias: "endpointslice",
        service_account: "endpointslice-controller",
        by_default: true,
        start: |cx| Box::pin(endpoint_slices(cx)),
    },
    Controller {
        name: "daemonset-controller",
        alias: "daemonset",
        service_account: "daemon-set-controller",
        by_default: true,
        start: |cx| Box::pin(daemonsets(cx)),
    },
    Controller {
        name: "disruption-controller",
        alias: "disruption",
        service_account: "disruption-controller",
        by_default: true,
        start: |cx| Box::pin(disruption(cx)),
    },
    Controller {
        name: "statefulset-controller",
        alias: "statefulset",
        service_account: "statefulset-controller",
        by_default: true,
        start: |cx| Box::pin(statefulsets(cx)),
    },
    Controller {
        name: "deployment-controller",
        alias: "deployment",
        service_account: "deployment-controller",
        by_default: true,
        start: |cx| Box::pin(deployments(cx)),
    },
    Controller {
        name: "replicaset-controller",
        alias: "replicaset",
        service_account: "replicaset-controller",
        by_default: true,
        start: |cx| Box::pin(replicasets(cx)),
    },
    Controller {
        name: "replicationcontroller-controller",
        alias: "replicationcontroller",
        service_account: "replication-controller",
        by_default: true,
        start: |cx| Box::pin(replication_controllers(cx)),
    },
    Controller {
        name: "certificatesigningrequest-approving-controller",
        alias: "csrapproving",
        service_account: "certificate-controller",
        by_default: true,
        start: |cx| Box::pin(approve_certificates(cx)),
    },
    Controller {
        name: "certificatesigningrequest-signing-controller",
        alias: "csrsigning",
        service_account: "certificate-controller",
        by_default: true,
        start: |cx| Box::pin(sign_certificates(cx)),
    },
    Controller {
        name: "certificatesigningrequest-cleaner-controller",
        alias: "csrcleaner",
        service_account: "certificate-controller",
        by_default: true,
        start: |cx| Box::pin(clean_certificates(cx)),
    },
    Controller {
        name: "clusterrole-aggregation-controller",
        alias: "clusterrole-aggregation",
        service_account: "clusterrole-aggregation-controller",
        by_default: true,
        start: |cx| Box::pin(cluster_role_aggregation(cx)),
    },
    Controller {
        name: "legacy-serviceaccount-token-cleaner-controller",
        alias: "legacy-service-account-token-cleaner",
        service_account: "legacy-service-account-token-cleaner",
        by_default: true,
        start: |cx| Box::pin(legacy_token_cleaner(cx)),
    },
    Controller {
        name: "bootstrap-signer-controller",
        alias: "bootstrapsigner",
        service_account: "bootstrap-signer",
        by_default: false,
        start: |cx| Box::pin(bootstrap_signer(cx)),
    },
    Controller {
        name: "token-cleaner-controller",
        alias: "tokencleaner",
        service_account: "token-cleaner",
        by_default: false,
        start: |cx| Box::pin(bootstrap_token_cleaner(cx)),
    },
];

/// Those that `--controllers` means: `foo` is on, `-foo` is off, `*` is all that are on by default.
///
/// # Errors
/// Names what is no controller.
pub fn chosen(wishes: &[String]) -> Result<Vec<&'static Controller>, String> {
    let known: BTreeSet<&str> = CONTROLLERS
        .iter()
        .flat_map(|one| [one.name, one.alias])
        .collect();
    for wish in wishes {
        let name = wish.strip_prefix('-').unwrap_or(wish);
        if name != "*" && !known.contains(name) {
            return Err(format!("{name:?} is not in the list of known controllers"));
        }
    }
    let is_on = |controller: &&Controller| {
        let names = |wish: &str| wish == controller.name || wish == controller.alias;
        // What names it counts, the first one of several; a star only else. As upstream.
        let named = wishes.iter().find_map(|wish| match wish.strip_prefix('-') {
            Some(name) => names(name).then_some(false),
            None => names(wish).then_some(true),
        });
        named.unwrap_or_else(|| controller.by_default && wishes.iter().any(|wish| wish == "*"))
    };
    Ok(CONTROLLERS.iter().filter(is_on).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_auth::rbac::bootstrap;

    fn names(wishes: &[&str]) -> Result<Vec<&'static str>, String> {
        let wishes: Vec<String> = wishes.iter().map(ToString::to_string).collect();
        Ok(chosen(&wishes)?.iter().map(|one| one.name).collect())
    }

    #[test]
    fn controllers_are_chosen_as_upstream_chooses_them() {
        let all = names(&["*"]).expect("a star is fine");
        assert!(all.contains(&"replicaset-controller"));
        assert_eq!(names(&["replicaset"]), Ok(vec!["replicaset-controller"]));
        let but_one = names(&["*", "-replicaset-controller"]).expect("both are known");
        assert_eq!(but_one.len(), all.len() - 1);
        assert_eq!(names(&[]), Ok(vec![]));
        let more = names(&["*", "bootstrapsigner"]).expect("both are known");
        assert_eq!(more.len(), all.len() + 1, "it is off by default");
        assert!(names(&["*", "-nothing"]).is_err());
    }

    /// Without it, a controller would be told that it may not, for ever.
    #[test]
    fn each_service_account_is_bound_to_a_role_of_every_cluster() {
        let policy = bootstrap::policy(&[]);
        let cluster = policy.cluster_role_bindings.iter();
        let bindings = cluster.chain(&policy.role_bindings);
        let subjects = bindings
            .filter_map(|binding| binding["subjects"].as_array())
            .flatten();
        let in_system = |subject: &&serde_json::Value| {
            subject["kind"] == "ServiceAccount" && subject["namespace"] == "kube-system"
        };
        let bound: BTreeSet<&str> = subjects
            .filter(in_system)
            .filter_map(|subject| subject["name"].as_str())
            .collect();
        for controller in CONTROLLERS {
            let account = controller.service_account;
            assert!(
                account == OWN_IDENTITY || bound.contains(account),
                "{account}"
            );
        }
    }

    #[test]
    fn names_are_unique() {
        let mut seen = BTreeSet::new();
        for controller in CONTROLLERS {
            assert!(seen.insert(controller.name), "{controller:?}");
            assert!(seen.insert(controller.alias), "{controller:?}");
            assert!(controller.name.ends_with("-controller"), "{controller:?}");
        }
    }
}
