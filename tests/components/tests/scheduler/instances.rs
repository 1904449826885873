//! Several schedulers, of which one works: processes with the credentials that the apiserver made for them.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use mainstay_component_tests::{Ledger, Program, Scene, World};
use mainstay_tests::wait_until;
use serde_json::json;

use crate::support::{asks, pod};

/// Longest time for anything to happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn scheduler(world: &World) -> Program {
    let kubeconfig = world.server.pki().join("scheduler.kubeconfig");
    Program::start(
        "scheduler",
        &[
            format!("--kubeconfig={}", kubeconfig.display()),
            "--secure-port=0".to_owned(),
            "--leader-elect-lease-duration=5s".to_owned(),
            "--leader-elect-renew-deadline=3s".to_owned(),
            "--leader-elect-retry-period=500ms".to_owned(),
        ],
    )
}

async fn holder(world: &World) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), "kube-system");
    let lease = leases.get_opt("kube-scheduler").await.unwrap()?;
    lease.spec?.holder_identity.filter(|name| !name.is_empty())
}

async fn placed(scene: &Scene, count: usize) {
    wait_until(&format!("{count} are placed"), PATIENCE, async || {
        let pods = scene.live_pods().await;
        let placed = pods.iter().filter(|pod| {
            let spec = pod.spec.as_ref();
            spec.is_some_and(|spec| spec.node_name.is_some())
        });
        (placed.count() >= count).then_some(())
    })
    .await;
}

async fn more(scene: &Scene, from: usize, to: usize) {
    for number in from..to {
        pod(scene, &format!("p{number}"), asks(json!({"cpu": "1"}))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_schedulers_never_bind_a_pod_twice_nor_fill_a_node_beyond_its_room() {
    let world = World::start().await;
    let scene = world.scene().await;
    let ledger = Ledger::follow(&world, 4).await;
    for number in 0..5 {
        world.node(&format!("n{number}"), json!({})).await;
    }
    let mut first = scheduler(&world);
    let leader = wait_until("one leads", PATIENCE, async || holder(&world).await).await;
    let mut second = scheduler(&world);
    more(&scene, 0, 4).await;
    placed(&scene, 4).await;

    // Stopped in the middle of its work, for longer than its lease: the other one takes over.
    more(&scene, 4, 8).await;
    first.pause();
    more(&scene, 8, 12).await;
    placed(&scene, 12).await;
    let next = holder(&world).await;
    assert!(next.is_some() && next.as_ref() != Some(&leader), "{next:?}");
    first.resume();
    more(&scene, 12, 14).await;
    assert_eq!(first.ended(PATIENCE).await, Some(1), "{}", first.log());
    assert!(
        first.log().contains("leadership was lost"),
        "{}",
        first.log()
    );

    // Killed in the middle of its work.
    let mut third = scheduler(&world);
    more(&scene, 14, 17).await;
    drop(second);
    more(&scene, 17, 24).await;
    placed(&scene, 20).await;
    second = scheduler(&world);
    assert!(third.runs() && second.runs());
    // 20 CPUs: four pods have to wait.
    assert_eq!(third.terminate().await, Some(0), "{}", third.log());
    wait_until("the last one leads", PATIENCE, async || {
        second.log().contains("elected").then_some(())
    })
    .await;
    crate::support::remove(&scene, "p0").await;
    placed(&scene, 20).await;
    assert_eq!(ledger.check().await, 21);
}
