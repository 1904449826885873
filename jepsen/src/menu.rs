//! Which runs belong together: the menu and the short selection.

use crate::cli::{MenuArgs, ShortArgs, SubjectArgs, random_seed};
use crate::nemesis::Nemesis;
use crate::plan::Plan;
use crate::subject::Kind;
use crate::workload::Workload;
use anyhow::{Result, bail};
use std::time::Duration;

/// Seconds of faults in each short run.
const SHORT_SECONDS: u64 = 12;
/// Operations per second of each short run.
const SHORT_RATE: u32 = 300;

/// Every nemesis with the workloads that say most about it, and the sizes in which it makes sense. Together every
/// workload, every size and the combinations that have found most elsewhere.
const MENU: &[(&[Nemesis], &[Workload], &[usize])] = {
    use Nemesis as N;
    use Workload as W;
    &[
        (&[N::None], &[W::Mixed], &[1, 3, 5]),
        (
            &[N::Kill],
            &[W::Register, W::Append, W::Watch, W::Kubernetes],
            &[3],
        ),
        (&[N::KillLeader], &[W::Register, W::Set, W::Lease], &[3]),
        (&[N::KillLeader], &[W::Mixed], &[5]),
        (&[N::KillAll], &[W::Mixed, W::Append], &[3]),
        (&[N::KillAll], &[W::Mixed], &[1, 5]),
        (
            &[N::PauseLeader],
            &[W::Register, W::Cas, W::Mixed, W::Lease],
            &[3],
        ),
        (&[N::PauseMinority], &[W::Append, W::Watch], &[5]),
        (&[N::Power], &[W::Mixed, W::Register], &[3]),
        (&[N::PowerAll], &[W::Mixed, W::Set], &[3]),
        (&[N::PowerAll], &[W::Mixed], &[1]),
        (
            &[N::PartitionHalves],
            &[W::Register, W::Append, W::Txn, W::Kubernetes],
            &[3],
        ),
        (&[N::PartitionHalves], &[W::Mixed], &[5]),
        (&[N::PartitionBridge], &[W::Mixed], &[3, 5]),
        (&[N::PartitionOneWay], &[W::Mixed, W::Register], &[3]),
        (
            &[N::PartitionLeader],
            &[W::Register, W::Lease, W::Watch],
            &[3],
        ),
        (&[N::PartitionRing], &[W::Mixed], &[5]),
        (&[N::PartitionFlapping], &[W::Mixed, W::Cas], &[3]),
        (&[N::Loss], &[W::Mixed], &[3, 5]),
        (&[N::Delay], &[W::Mixed], &[3]),
        (&[N::Jitter], &[W::Mixed], &[3]),
        (&[N::Clock], &[W::Mixed, W::Lease], &[3]),
        (&[N::SlowDisk], &[W::Mixed], &[3]),
        (&[N::SlowDiskLeader], &[W::Lease, W::Mixed], &[3]),
        (&[N::StallDiskLeader], &[W::Lease, W::Mixed], &[3]),
        (&[N::Eio], &[W::Mixed, W::Register], &[3]),
        (&[N::DiskFull], &[W::Mixed], &[3]),
        (&[N::BitFlip], &[W::Mixed, W::Append], &[3]),
        (&[N::BitFlip], &[W::Mixed], &[5]),
        (&[N::Truncate], &[W::Mixed], &[3]),
        (&[N::Rolling], &[W::Mixed, W::Watch], &[3]),
        (&[N::Compaction], &[W::Watch, W::Txn], &[3]),
        (&[N::Kill, N::Compaction], &[W::Watch, W::Mixed], &[3]),
        (&[N::PauseLeader, N::Compaction], &[W::Watch], &[3]),
        (&[N::PartitionHalves, N::Compaction], &[W::Watch], &[3]),
        (&[N::Kill, N::PartitionHalves], &[W::Append], &[5]),
        (
            &[N::PauseLeader, N::PartitionFlapping],
            &[W::Register],
            &[3],
        ),
        (
            &[
                N::Kill,
                N::PauseMinority,
                N::PartitionHalves,
                N::Loss,
                N::Compaction,
            ],
            &[W::Mixed, W::Append],
            &[5],
        ),
        (&[N::PowerAll, N::Compaction], &[W::Watch], &[3]),
    ]
};

/// What etcd does not promise: it stops at damage and needs an operator, and so it does on a full or failed disk. And its
/// clock cannot be moved: programs in Go do not ask the C library for the time.
const NOT_FOR_ETCD: &[Nemesis] = &[
    Nemesis::BitFlip,
    Nemesis::Truncate,
    Nemesis::DiskFull,
    Nemesis::Eio,
    Nemesis::Clock,
];

fn plan(
    subject: &SubjectArgs,
    nemeses: &[Nemesis],
    workload: Workload,
    members: usize,
    seed: u64,
) -> Result<Plan> {
    let plan = Plan {
        workload,
        nemeses: nemeses.to_vec(),
        members,
        time: Duration::from_secs(SHORT_SECONDS),
        rate: SHORT_RATE,
        clients_per_member: clients_per_member(workload, members),
        deadline: Duration::from_secs(2),
        seed,
        subject: subject.subject()?,
        named_binary: subject.subject_bin.is_some(),
        loopback: subject.loopback,
        out: subject.out.clone(),
    };
    plan.check()?;
    Ok(plan)
}

/// A mixture needs a place for each of its parts.
fn clients_per_member(workload: Workload, members: usize) -> usize {
    match (workload, members) {
        (Workload::Mixed, _) => 8,
        (_, 1) => 6,
        _ => 3,
    }
}

/// All runs of the menu that the filter lets through.
pub fn menu(args: &MenuArgs) -> Result<Vec<Plan>> {
    let mut seed = args.seed.unwrap_or_else(random_seed);
    let mut plans = Vec::new();
    for (nemeses, workloads, sizes) in MENU {
        if args.subject.subject == Kind::Etcd
            && nemeses.iter().any(|nemesis| NOT_FOR_ETCD.contains(nemesis))
        {
            continue;
        }
        for &workload in *workloads {
            for &members in *sizes {
                seed += 1;
                let mut plan = plan(&args.subject, nemeses, workload, members, seed)?;
                plan.time = Duration::from_secs(args.time);
                plan.rate = args.rate;
                plan.check()?;
                if passes(&plan, &args.filter) {
                    plans.push(plan);
                }
            }
        }
    }
    if plans.is_empty() {
        bail!(
            "no run of the menu contains {}; `menu --dry-run` lists them",
            args.filter.join(" or ")
        );
    }
    Ok(plans)
}

fn passes(plan: &Plan, filter: &[String]) -> bool {
    let name = plan.name();
    filter.is_empty() || filter.iter().any(|part| name.contains(part.as_str()))
}

/// The runs of `make test`: what breaks most, in as little time as it takes to break it.
pub fn short(args: &ShortArgs) -> Result<Vec<Plan>> {
    use Nemesis as N;
    let selection: &[(&[Nemesis], Workload, usize)] = &[
        (&[N::Kill, N::Compaction], Workload::Mixed, 3),
        (&[N::PauseLeader], Workload::Register, 3),
        (&[N::PartitionHalves], Workload::Append, 3),
        (&[N::KillAll], Workload::Watch, 3),
        (&[N::KillLeader], Workload::Lease, 3),
        (&[N::PartitionFlapping], Workload::Txn, 3),
    ];
    let seed = args.seed.unwrap_or_else(random_seed);
    let plans = selection
        .iter()
        .zip(seed..)
        .map(|((nemeses, workload, members), seed)| {
            plan(&args.subject, nemeses, *workload, *members, seed)
        });
    plans.collect()
}

#[cfg(test)]
mod tests {
    use super::MENU;
    use crate::nemesis::Nemesis;
    use crate::workload::Workload;

    #[test]
    fn the_menu_has_every_nemesis_every_workload_and_every_size() {
        for nemesis in Nemesis::ALL {
            assert!(
                MENU.iter().any(|(nemeses, ..)| nemeses.contains(nemesis)),
                "{nemesis}"
            );
        }
        for workload in Workload::ALL {
            assert!(
                MENU.iter()
                    .any(|(_, workloads, _)| workloads.contains(workload)),
                "{workload}"
            );
        }
        let runs: usize = MENU
            .iter()
            .map(|(_, workloads, sizes)| workloads.len() * sizes.len())
            .sum();
        assert!(runs >= 60, "{runs} runs");
        for (nemeses, _, sizes) in MENU {
            let least = nemeses
                .iter()
                .map(|nemesis| nemesis.members_min())
                .max()
                .unwrap();
            assert!(sizes.iter().all(|size| *size >= least), "{nemeses:?}");
        }
    }
}
