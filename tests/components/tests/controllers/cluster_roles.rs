//! Aggregated cluster roles: with an apiserver that leaves them to the controller, and with one that does not.

use std::sync::Arc;
use std::time::Duration;

use controllers::{Context, Options, cluster_role_aggregation};
use futures_util::future::BoxFuture;
use http::Method;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use mainstay_component_tests::sieve::{ended_after_every_write, writes_nothing_more};
use mainstay_component_tests::{Faults, Hold, Instance, Scene, World, with_rights_of};
use mainstay_tests::wait_until;
use serde_json::{Value, json};

use crate::DONE;

/// So that the controller must do it.
const LEAVES_IT: &[&str] = &["--aggregate-cluster-roles=false"];

fn with_grace(cx: Context, aggregation_grace: Duration) -> BoxFuture<'static, ()> {
    let cx = with_rights_of("clusterrole-aggregation-controller", cx);
    let options = Options {
        aggregation_grace,
        ..Options::default()
    };
    Box::pin(cluster_role_aggregation(Context {
        options: Arc::new(options),
        ..cx
    }))
}

fn at_once(cx: Context) -> BoxFuture<'static, ()> {
    with_grace(cx, Duration::ZERO)
}

fn patient(cx: Context) -> BoxFuture<'static, ()> {
    with_grace(cx, Duration::from_secs(3_600))
}

/// A role that is made of others, under names of its own.
struct Roles {
    api: Api<ClusterRole>,
    prefix: String,
}

impl Roles {
    fn new(scene: &Scene) -> Self {
        Self {
            api: Api::all(scene.client.clone()),
            prefix: scene.namespace.to_string(),
        }
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    async fn create(&self, name: &str, mut role: Value) {
        role["metadata"]["name"] = self.name(name).into();
        let role = serde_json::from_value(role).unwrap();
        self.api
            .create(&PostParams::default(), &role)
            .await
            .unwrap();
    }

    async fn whole(&self) {
        let labels = json!({"matchLabels": {"to": self.prefix}});
        let rule = json!({"clusterRoleSelectors": [labels]});
        self.create("all", json!({"metadata": {}, "aggregationRule": rule}))
            .await;
    }

    async fn part(&self, name: &str, verb: &str) {
        let rule = json!({"verbs": [verb], "apiGroups": [""], "resources": ["pods"]});
        let labels = json!({"labels": {"to": self.prefix}});
        self.create(name, json!({"metadata": labels, "rules": [rule]}))
            .await;
    }

    async fn patch(&self, patch: Value) {
        let (name, params) = (self.name("all"), PatchParams::default());
        let patch = Patch::Merge(patch);
        self.api.patch(&name, &params, &patch).await.unwrap();
    }

    /// Waits until these are the verbs of the whole.
    async fn are(&self, expected: &[&str]) -> ClusterRole {
        wait_until(&format!("{expected:?}"), DONE, async || {
            let role = self.api.get(&self.name("all")).await.unwrap();
            let rules = role.rules.as_deref().unwrap_or_default().iter();
            let verbs: Vec<&str> = rules.map(|rule| rule.verbs[0].as_str()).collect();
            (verbs == expected).then(|| role.clone())
        })
        .await
    }

    /// All that may happen to a role and those that it chooses.
    async fn play(&self) {
        self.whole().await;
        self.part("b", "list").await;
        self.are(&["list"]).await;
        self.part("a", "get").await;
        self.are(&["get", "list"]).await;
        // What somebody writes into it does not stay.
        self.patch(json!({"rules": []})).await;
        self.are(&["get", "list"]).await;
        let gone = DeleteParams::default();
        self.api.delete(&self.name("a"), &gone).await.unwrap();
        self.are(&["list"]).await;
    }
}

#[tokio::test]
async fn a_cluster_role_has_the_rules_of_those_it_chooses_whatever_write_the_controller_ends_after()
{
    let world = World::start_with(LEAVES_IT).await;
    let writes = ended_after_every_write(&world, at_once, async |scene| {
        Roles::new(scene).play().await;
    })
    .await;
    assert!(writes >= 4, "one for each state: {writes}");
}

#[tokio::test]
async fn a_controller_that_missed_a_role_or_is_late_aggregates_what_there_is() {
    let world = World::start_with(LEAVES_IT).await;
    let roles = Roles::new(&world.scene().await);
    let running = Instance::start(&world.config, at_once, Faults::default());
    roles.whole().await;
    roles.part("a", "get").await;
    roles.are(&["get"]).await;
    running.idle().await;
    running.faults.blind("clusterroles");
    roles.part("b", "list").await;
    running.faults.miss("clusterroles");
    roles.are(&["get", "list"]).await;
    drop(running);
    // What it has decided is held back until somebody else has written into the role.
    let hold = Hold::of(Method::PUT, "/clusterroles/");
    let held = hold.clone();
    let start = move |cx| at_once(held.on(cx));
    let _late = Instance::start(&world.config, start, Faults::default());
    roles.part("c", "watch").await;
    hold.held().await;
    roles
        .patch(json!({"metadata": {"annotations": {"mine": "stays"}}}))
        .await;
    assert_eq!(hold.let_go().await, 409);
    let role = roles.are(&["get", "list", "watch"]).await;
    assert_eq!(role.metadata.annotations.unwrap()["mine"], "stays");
}

#[tokio::test]
async fn an_apiserver_that_aggregates_by_itself_leaves_the_controller_nothing_to_do() {
    let world = World::start().await;
    let running = Instance::start(&world.config, patient, Faults::default());
    Roles::new(&world.scene().await).play().await;
    running.idle().await;
    assert_eq!(running.faults.writes(), 0);
    drop(running);
    // Nor would it write anything else than what the server has.
    writes_nothing_more(&world, at_once).await;
}
