//! The scheduler ended after every write, blind to what has happened, and behind.

use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::Pod;
use mainstay_component_tests::sieve::ended_after_every_write;
use mainstay_component_tests::{Faults, Instance, Ledger, Scene, World};
use serde_json::{Value, json};

use crate::support::{asks, bound, labelled, pod, refused, remove, start, told, with};

fn on_own_nodes(scene: &Scene, cpu: &str) -> Value {
    let own = json!({"spec": {"nodeSelector": {"scene": &*scene.namespace}}});
    with(&asks(json!({"cpu": cpu})), &own)
}

#[tokio::test]
async fn pods_are_placed_once_and_in_the_room_there_is_whatever_write_the_scheduler_ends_after() {
    let world = World::start().await;
    let ledger = Ledger::follow(&world, 2).await;
    let scenes = AtomicUsize::new(0);
    let writes = ended_after_every_write(&world, start, async |scene| {
        scenes.fetch_add(1, Ordering::SeqCst);
        for side in ["left", "right"] {
            let name = format!("{}-{side}", scene.namespace);
            let two = json!({"status": {"allocatable": {"cpu": "2"}}});
            let own = labelled("scene", &scene.namespace);
            world.node(&name, with(&two, &own)).await;
        }
        for name in ["one", "two", "three"] {
            pod(scene, name, on_own_nodes(scene, "1")).await;
        }
        let mut nodes = Vec::new();
        for name in ["one", "two", "three"] {
            nodes.push((bound(scene, name).await, name));
        }
        pod(scene, "large", on_own_nodes(scene, "2")).await;
        let says = refused(scene, "large").await;
        assert!(says.contains("2 Insufficient cpu"), "{says}");
        // The one that is alone on its node makes room.
        let alone = |node: &str| nodes.iter().filter(|(other, _)| other == node).count() == 1;
        let (node, name) = nodes.iter().find(|(node, _)| alone(node)).unwrap();
        remove(scene, name).await;
        assert_eq!(bound(scene, "large").await, *node);
    })
    .await;
    // Four bindings and one condition; the answer to the last binding may not have been waited for.
    assert!(writes >= 4, "{writes}");
    let scenes = scenes.load(Ordering::SeqCst);
    assert!(scenes > 4, "{scenes}");
    assert_eq!(ledger.check().await, scenes * 4, "each pod was bound once");
}

/// As upstream, a binding says nothing about the node: the pod goes to one that is no more, and is for the pod garbage
/// collector. What matters is that the scheduler goes on, and knows better next time.
#[tokio::test]
async fn a_node_that_goes_between_decision_and_binding_gets_no_more_than_that_pod() {
    let world = World::start().await;
    let scene = world.scene().await;
    world.node("goes", json!({})).await;
    let running = Instance::start(&world.config, start, Faults::default());
    pod(&scene, "before", json!({})).await;
    assert_eq!(bound(&scene, "before").await, "goes");
    running.faults.blind("nodes");
    world.remove_node("goes").await;
    world.node("stays", json!({})).await;
    pod(&scene, "late", json!({})).await;
    assert_eq!(bound(&scene, "late").await, "goes");
    running.faults.see("nodes");
    told(&scene, "late", "Scheduled").await;
    // Both changes of nodes come before what follows from this.
    crate::support::knows(&running, 1, 2).await;
    pod(&scene, "after", json!({})).await;
    assert_eq!(bound(&scene, "after").await, "stays");
}

#[tokio::test]
async fn another_pod_of_the_same_name_is_not_bound_in_place_of_the_first() {
    let world = World::start().await;
    let scene = world.scene().await;
    let running = Instance::start(&world.config, start, Faults::default());
    pod(&scene, "same", json!({})).await;
    refused(&scene, "same").await;
    running.faults.blind("pods");
    remove(&scene, "same").await;
    // It does not fit where the first one would.
    let ledger = Ledger::follow(&world, 4).await;
    pod(&scene, "same", asks(json!({"cpu": "5"}))).await;
    world.node("a", json!({})).await;
    let says = "scheduler_schedule_attempts_total{profile=\"default-scheduler\",result=\"error\"} ";
    mainstay_tests::wait_until("the binding is refused", crate::DONE, async || {
        running.metrics().contains(says).then_some(())
    })
    .await;
    running.faults.miss("pods");
    let says = refused(&scene, "same").await;
    assert!(
        says.starts_with("0/1 nodes are available: 1 Insufficient cpu."),
        "{says}"
    );
    assert_eq!(ledger.check().await, 0);
}

#[tokio::test]
async fn what_happened_while_events_were_withheld_is_made_up_for() {
    let world = World::start().await;
    let scene = world.scene().await;
    let ledger = Ledger::follow(&world, 4).await;
    world.node("a", json!({})).await;
    let running = Instance::start(&world.config, start, Faults::default());
    for name in ["one", "two"] {
        pod(&scene, name, asks(json!({"cpu": "2"}))).await;
        bound(&scene, name).await;
    }
    crate::support::knows(&running, 1, 2).await;
    for missed in [false, true] {
        running.faults.blind("pods");
        // One goes and comes again, another one comes; of neither is anything heard.
        remove(&scene, "two").await;
        pod(&scene, "two", asks(json!({"cpu": "1"}))).await;
        let new = format!("new-{missed}");
        pod(&scene, &new, asks(json!({"cpu": "1"}))).await;
        match missed {
            false => running.faults.see("pods"),
            true => running.faults.miss("pods"),
        }
        for name in ["two", &new] {
            assert_eq!(bound(&scene, name).await, "a");
        }
        remove(&scene, &new).await;
    }
    running.idle().await;
    let pods = scene.list::<Pod>().await;
    assert_eq!(pods.len(), 2);
    assert_eq!(ledger.check().await, 6);
}

/// A scheduler that has not yet seen its own bindings counts them all the same.
#[tokio::test]
async fn bindings_that_were_not_seen_yet_take_room() {
    let world = World::start().await;
    let scene = world.scene().await;
    let ledger = Ledger::follow(&world, 4).await;
    world.node("a", json!({})).await;
    for number in 0..4 {
        let gate = json!({"spec": {"schedulingGates": [{"name": "g"}]}});
        let gated = with(&asks(json!({"cpu": "1"})), &gate);
        pod(&scene, &format!("p{number}"), gated).await;
    }
    let running = Instance::start(&world.config, start, Faults::default());
    running.idle().await;
    pod(&scene, "three", asks(json!({"cpu": "3"}))).await;
    bound(&scene, "three").await;
    // From a cache in which nothing is on the node, a successor would be wrong; it begins with a list.
    running.faults.blind("pods");
    drop(running);
    let running = Instance::start(&world.config, start, Faults::default());
    running.idle().await;
    for number in 0..4 {
        let free = json!({"spec": {"schedulingGates": []}});
        let _: Pod = scene.patch(&format!("p{number}"), free).await;
    }
    mainstay_tests::wait_until("one more is placed", crate::DONE, async || {
        let pods = scene.list::<Pod>().await;
        let placed = pods.iter().filter(|pod| {
            let spec = pod.spec.as_ref();
            spec.is_some_and(|spec| spec.node_name.is_some())
        });
        (placed.count() == 2).then_some(())
    })
    .await;
    running.idle().await;
    assert_eq!(ledger.check().await, 2);
}
