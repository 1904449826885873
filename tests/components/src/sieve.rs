//! Scenarios under the faults that controllers are known to fail under.

use crate::faults::Faults;
use crate::instance::{Instance, Start};
use crate::world::{Scene, World};

/// Writes that a scenario may need: more means that a controller writes without end.
const WRITES_MAX: usize = 200;

/// Plays a scenario again and again: once with the controller ended after its first write, then after its second, and
/// so on until the scenario is over before that. Each time a new one starts at once, must finish the work, and
/// afterwards find nothing to write. Returns how many writes the scenario needs.
pub async fn ended_after_every_write(
    world: &World,
    start: impl Start,
    scenario: impl AsyncFn(&Scene),
) -> usize {
    let settled = async || writes_nothing_more(world, start.clone()).await;
    // The last write shows before its answer is counted.
    let rest = async |first: &Instance| first.idle().await;
    play(world, start.clone(), scenario, rest, settled).await
}

/// The same, for controllers whose being settled shows in another way.
pub async fn ended_after_every_write_and(
    world: &World,
    start: impl Start,
    scenario: impl AsyncFn(&Scene),
    settled: impl AsyncFn(),
) -> usize {
    // It may never be idle, or do more than the scenario asks for; what shows has been written.
    let rest = async |first: &Instance| first.faults.answered().await;
    play(world, start, scenario, rest, settled).await
}

async fn play(
    world: &World,
    start: impl Start,
    scenario: impl AsyncFn(&Scene),
    rest: impl AsyncFn(&Instance),
    settled: impl AsyncFn(),
) -> usize {
    for write in 1..WRITES_MAX {
        let scene = world.scene().await;
        let first = Instance::start(&world.config, start.clone(), Faults::ending_after(write));
        let faults = first.faults.clone();
        let mut playing = std::pin::pin!(scenario(&scene));
        tokio::select! {
            () = &mut playing => tokio::select! {
                () = rest(&first) => drop(first),
                () = faults.ended() => drop(first),
            },
            () = faults.ended() => {
                drop(first);
                let _successor = Instance::start(&world.config, start.clone(), Faults::default());
                playing.await;
            }
        }
        settled().await;
        if faults.writes() < write {
            return faults.writes();
        }
    }
    panic!("the scenario needs more than {WRITES_MAX} writes");
}

/// A settled cluster stays as it is: a controller that starts looks at everything and writes nothing.
pub async fn writes_nothing_more(world: &World, start: impl Start) {
    let instance = Instance::start(&world.config, start, Faults::default());
    instance.idle().await;
    assert_eq!(instance.faults.writes(), 0, "writes to what is settled");
}
