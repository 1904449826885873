//! What the controllers' pages say of one that may not see what it needs.

use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{Patch, PatchParams};
use mainstay_client::limits::WATCH_FAILS_MAX;
use mainstay_component_tests::{Program, World};
use mainstay_tests::ports::Port;
use mainstay_tests::rest::Rest;
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::PATIENCE;

/// Under which all controllers of a process list and watch.
const ROLE: &str = "system:kube-controller-manager";
/// The only one that follows cron jobs under that role.
const NAMED: &str = "[-]cronjob-controller failed: reason withheld\n";

/// A role that is taken away and given back.
struct Role {
    api: Api<ClusterRole>,
    whole: Value,
}

impl Role {
    async fn of(world: &World) -> Self {
        let api: Api<ClusterRole> = Api::all(world.client.clone());
        let whole = serde_json::to_value(api.get(ROLE).await.unwrap().rules).unwrap();
        Self { api, whole }
    }

    async fn set(&self, rules: &Value) {
        // An apiserver that starts would give back what it finds missing.
        let keeps = json!({"rbac.authorization.kubernetes.io/autoupdate": "false"});
        let patch = json!({"metadata": {"annotations": keeps}, "rules": rules});
        let params = PatchParams::default();
        self.api
            .patch(ROLE, &params, &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// All that it allows but to list and watch cron jobs.
    async fn without_cron_jobs(&self) {
        let mut rules: Vec<Value> = self.whole.as_array().unwrap().clone();
        rules.retain(|rule| !rule["verbs"].to_string().contains("watch"));
        let seen = json!({"apiGroups": ["", "apps", "policy", "discovery.k8s.io", "rbac.authorization.k8s.io",
            "certificates.k8s.io", "coordination.k8s.io"], "resources": ["*"], "verbs": ["list", "watch"]});
        let jobs =
            json!({"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "watch"]});
        rules.extend([seen, jobs]);
        self.set(&json!(rules)).await;
    }

    async fn given_back(&self) {
        self.set(&self.whole).await;
    }
}

async fn says(pages: &Rest, path: &str, what: &str) {
    let patience = PATIENCE + WATCH_FAILS_MAX;
    wait_until(&format!("{path} says {what:?}"), patience, async || {
        let page = pages.try_call(&format!("GET {path}"), "").await.ok()?;
        page.body.contains(what).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_may_not_list_what_it_needs_is_named_until_it_may() {
    let mut world = World::start().await;
    let pki = world.server.pki().to_owned();
    let role = Role::of(&world).await;
    role.without_cron_jobs().await;
    let pages = Port::take();
    let kubeconfig = pki.join("controller-manager.kubeconfig");
    let own = ["--authorization-always-allow-paths=/healthz,/healthz/*".to_owned()];
    let mut manager = Program::with_pages("controllers", &kubeconfig, &pki, &pages, &own);
    let shown = Rest::new(pages.number(), &pki).without_certificate();

    // It starts without: the first refusal counts. All others are well.
    says(&shown, "/healthz", NAMED).await;
    says(&shown, "/healthz", "[+]job-controller ok\n").await;
    let page = shown.call("GET /healthz/cronjob-controller", "").await;
    assert_eq!(page.status, 500);
    assert!(
        page.body.contains("CronJob cannot be listed"),
        "{}",
        page.body
    );
    assert!(page.body.contains("forbidden"), "{}", page.body);
    assert_eq!(page.body.lines().count(), 1, "{}", page.body);
    let others = "GET /healthz?exclude=cronjob-controller";
    wait_until("all others are well", PATIENCE, async || {
        (shown.call(others, "").await.body == "ok").then_some(())
    })
    .await;
    role.given_back().await;
    wait_until("it is well", PATIENCE, async || {
        (shown.call("GET /healthz", "").await.body == "ok").then_some(())
    })
    .await;

    // It had it and loses it: no watch is cut for that, and none begins again.
    role.without_cron_jobs().await;
    world.server.kill();
    world.server.run().await;
    says(&shown, "/healthz", NAMED).await;
    role.given_back().await;
    wait_until("it is well again", PATIENCE, async || {
        (shown.call("GET /healthz", "").await.body == "ok").then_some(())
    })
    .await;
    assert_eq!(manager.terminate().await, Some(0), "{}", manager.log());
}
