//! Which runs belong together.

use super::nemesis::ApiNemesis;
use super::one::carry_out;
use super::plan::ApiArgs;
use crate::cli::{ShortArgs, SubjectArgs, random_seed};
use crate::report::RunResult;
use crate::run::interrupted;
use crate::series::verdict_line;
use crate::verdict::Grade;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// All nemeses of apiservers, alone and together.
#[derive(Clone, Debug, Args)]
pub struct ApiMenuArgs {
    /// Seconds of faults in each run.
    #[arg(long, short, default_value_t = 90)]
    pub time: u64,
    /// Operations per second in each run.
    #[arg(long, short, default_value_t = 150)]
    pub rate: u32,
    /// Decides everything; a random one if not given.
    #[arg(long, short)]
    pub seed: Option<u64>,
    /// The apiserver's binary, if not the one beside this program or in MAINSTAY_TEST_APISERVER.
    #[arg(long, value_name = "PATH")]
    pub apiserver_bin: Option<PathBuf>,
    #[command(flatten)]
    pub subject: SubjectArgs,
}

/// Nemeses, apiservers, members.
const MENU: &[(&[ApiNemesis], usize, usize)] = {
    use ApiNemesis as N;
    &[
        (&[N::None], 1, 1),
        (&[N::Kill], 2, 3),
        (&[N::Term], 2, 3),
        (&[N::Pause], 2, 3),
        (&[N::KillServers], 3, 3),
        (&[N::Kill, N::Compaction], 2, 3),
        (&[N::Kill, N::KillLeader], 2, 3),
        (&[N::KillMember, N::Term], 2, 3),
        (&[N::PauseLeader], 2, 3),
        (&[N::Cut, N::Kill], 2, 3),
        (&[N::Isolate, N::Compaction], 2, 3),
        (&[N::Power], 2, 3),
    ]
};

/// Seconds of faults and operations per second of the short run.
const SHORT_SECONDS: u64 = 20;
const SHORT_RATE: u32 = 100;

/// Runs the whole menu; the worst verdict.
pub async fn menu(args: &ApiMenuArgs, say: fn(&str)) -> Result<Grade> {
    let seed = args.seed.unwrap_or_else(random_seed);
    let mut results = Vec::new();
    for (&(nemeses, servers, members), seed) in MENU.iter().zip(seed..) {
        if interrupted().load(Ordering::Relaxed) {
            break;
        }
        let run = ApiArgs {
            nemesis: nemeses.to_vec(),
            servers,
            members,
            time: args.time,
            rate: args.rate,
            deadline: 5_000,
            seed: Some(seed),
            apiserver_bin: args.apiserver_bin.clone(),
            apiserver_env: Vec::new(),
            subject: args.subject.clone(),
        };
        results.push(one(&run, say).await?);
    }
    say("");
    for result in &results {
        say(&verdict_line(result));
    }
    let worst = results.iter().map(|result| result.grade).max();
    Ok(worst.unwrap_or(Grade::HarnessFault))
}

/// The run of `make test`: an apiserver killed every few seconds while the store is compacted.
pub async fn short(args: &ShortArgs, say: fn(&str)) -> Result<Grade> {
    let run = ApiArgs {
        nemesis: vec![ApiNemesis::Kill, ApiNemesis::Compaction],
        servers: 2,
        members: 3,
        time: SHORT_SECONDS,
        rate: SHORT_RATE,
        deadline: 5_000,
        seed: args.seed,
        apiserver_bin: None,
        apiserver_env: Vec::new(),
        subject: args.subject.clone(),
    };
    Ok(one(&run, say).await?.grade)
}

async fn one(run: &ApiArgs, say: fn(&str)) -> Result<RunResult> {
    let (result, _) = carry_out(&run.plan()?, say).await?;
    say(&verdict_line(&result));
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::{ApiNemesis, MENU};

    #[test]
    fn the_menu_has_every_nemesis() {
        for nemesis in ApiNemesis::ALL {
            assert!(
                MENU.iter().any(|(nemeses, ..)| nemeses.contains(nemesis)),
                "{nemesis}"
            );
        }
    }
}
