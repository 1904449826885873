//! What a nemesis acts on, and how.

use super::nemesis::ApiNemesis;
use super::servers::Servers;
use crate::cluster::Cluster;
use crate::limits::{API_COMPACTION_INTERVAL, API_EXIT_DEADLINE, PROBE_DEADLINE};
use crate::tower::Tower;
use anyhow::Result;
use mainstay_faults::Proof;
use mainstay_proto::etcdserverpb::CompactionRequest;
use mainstay_tests::Raw;
use rand::Rng;
use rand::rngs::StdRng;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The processes, and what a nemesis may know.
#[derive(Debug)]
pub(super) struct Arena {
    pub(super) cluster: Cluster,
    pub(super) servers: Servers,
    pub(super) tower: Arc<Tower>,
    pub(super) rng: StdRng,
    pub(super) runtime: Handle,
    /// What the witness has seen: nothing newer is compacted, or nobody could judge the run.
    pub(super) seen: watch::Receiver<i64>,
}

/// How a strike is undone.
#[derive(Debug)]
pub(super) enum Undo {
    Nothing,
    StartServers(Vec<usize>),
    ResumeServer(usize),
    StartMembers(Vec<usize>),
    ResumeMember(usize),
    /// Server, what was held before.
    Join(usize, Option<usize>, u64),
    EndTask(JoinHandle<u64>, oneshot::Sender<()>),
    /// Everything.
    PowerOn,
}

#[derive(Debug)]
pub(super) struct Struck {
    pub(super) targets: Vec<String>,
    pub(super) proof: Proof,
    pub(super) undo: Undo,
}

fn nothing(why: &str) -> Struck {
    Struck {
        targets: Vec::new(),
        proof: Proof::when(false, why),
        undo: Undo::Nothing,
    }
}

impl Arena {
    fn any(&mut self, of: &[usize]) -> Option<usize> {
        (!of.is_empty()).then(|| of[self.rng.random_range(0..of.len())])
    }

    fn leader_or_any(&mut self) -> Option<usize> {
        let running = self.cluster.running();
        match self.tower.leader() {
            Some(leader) if running.contains(&leader) => Some(leader),
            _ => self.any(&running),
        }
    }

    pub(super) fn strike(&mut self, nemesis: ApiNemesis) -> Result<Struck> {
        match nemesis {
            ApiNemesis::None => Ok(nothing("nothing goes wrong")),
            ApiNemesis::KillMember | ApiNemesis::KillLeader | ApiNemesis::PauseLeader => {
                self.strike_member(nemesis)
            }
            ApiNemesis::KillServers => {
                let running = self.servers.running();
                self.kill_servers(running)
            }
            ApiNemesis::Compaction => Ok(self.compact()),
            ApiNemesis::Power => self.cut_power(),
            _ => self.strike_server(nemesis),
        }
    }

    fn strike_server(&mut self, nemesis: ApiNemesis) -> Result<Struck> {
        let running = self.servers.running();
        let Some(victim) = self.any(&running) else {
            return Ok(nothing("no apiserver runs"));
        };
        let targets = vec![format!("s{victim}")];
        let (proof, undo) = match nemesis {
            ApiNemesis::Term => (
                self.servers.terminate(victim, API_EXIT_DEADLINE)?,
                Undo::StartServers(vec![victim]),
            ),
            ApiNemesis::Pause => (self.servers.pause(victim)?, Undo::ResumeServer(victim)),
            ApiNemesis::Cut | ApiNemesis::Isolate => {
                let member = match nemesis {
                    ApiNemesis::Cut => Some(self.rng.random_range(0..self.cluster.len())),
                    _ => None,
                };
                let before = self.servers.held(victim);
                self.servers.cut(victim, member, true);
                let proof = Proof::when(false, "not read yet");
                (proof, Undo::Join(victim, member, before))
            }
            _ => return self.kill_servers(vec![victim]),
        };
        Ok(Struck {
            targets,
            proof,
            undo,
        })
    }

    fn kill_servers(&mut self, victims: Vec<usize>) -> Result<Struck> {
        let mut proofs = Vec::new();
        for &victim in &victims {
            proofs.push(self.servers.kill(victim)?);
        }
        if proofs.is_empty() {
            return Ok(nothing("no apiserver runs"));
        }
        Ok(Struck {
            targets: victims.iter().map(|victim| format!("s{victim}")).collect(),
            proof: Proof::all(proofs),
            undo: Undo::StartServers(victims),
        })
    }

    fn strike_member(&mut self, nemesis: ApiNemesis) -> Result<Struck> {
        let running = self.cluster.running();
        let victim = match nemesis {
            ApiNemesis::KillMember => self.any(&running),
            _ => self.leader_or_any(),
        };
        let Some(victim) = victim else {
            return Ok(nothing("no member runs"));
        };
        let (proof, undo) = match nemesis {
            ApiNemesis::PauseLeader => (
                self.cluster.member(victim).process.pause()?,
                Undo::ResumeMember(victim),
            ),
            _ => (self.cluster.kill(victim)?, Undo::StartMembers(vec![victim])),
        };
        Ok(Struck {
            targets: vec![format!("m{victim}")],
            proof,
            undo,
        })
    }

    fn cut_power(&mut self) -> Result<Struck> {
        let members = self.cluster.running();
        let mut proofs = vec![self.cluster.cut_power(&members)?];
        for server in self.servers.running() {
            proofs.push(self.servers.kill(server)?);
        }
        Ok(Struck {
            targets: vec!["everything".to_owned()],
            proof: Proof::all(proofs),
            undo: Undo::PowerOn,
        })
    }

    /// Compacts close behind the present, again and again.
    fn compact(&mut self) -> Struck {
        let urls = self.cluster.urls();
        let seen = self.seen.clone();
        let (end, mut ended) = oneshot::channel::<()>();
        let behind: i64 = self.rng.random_range(1..400);
        let task = self.runtime.spawn(async move {
            let mut count = 0;
            for url in urls.iter().cycle() {
                if timeout(API_COMPACTION_INTERVAL, &mut ended).await.is_ok() {
                    break;
                }
                let revision = (*seen.borrow() - behind).max(1);
                let raw = Raw::connect(url, None).with_deadline(PROBE_DEADLINE);
                let request = CompactionRequest {
                    revision,
                    physical: false,
                };
                count += u64::from(raw.compact(request).await.is_ok());
            }
            count
        });
        Struck {
            targets: Vec::new(),
            proof: Proof::when(false, "not counted yet"),
            undo: Undo::EndTask(task, end),
        }
    }

    /// Undoes a strike; what more there is to say about how it acted.
    pub(super) fn heal(&mut self, struck: Struck) -> Result<Proof> {
        let Struck { proof, undo, .. } = struck;
        match undo {
            Undo::Nothing => {}
            Undo::StartServers(victims) => {
                for victim in victims {
                    self.servers.restart(victim)?;
                }
            }
            Undo::ResumeServer(victim) => self.servers.resume(victim)?,
            Undo::StartMembers(victims) => {
                for victim in victims {
                    if !self.cluster.member(victim).process.is_running() {
                        self.cluster.restart(victim)?;
                    }
                }
            }
            Undo::ResumeMember(victim) => {
                let process = &mut self.cluster.member(victim).process;
                if process.is_running() {
                    process.resume()?;
                }
            }
            Undo::Join(server, member, before) => {
                let held = self.servers.held(server).saturating_sub(before);
                self.servers.cut(server, member, false);
                let whom = member.map_or_else(|| "all members".to_owned(), |m| format!("m{m}"));
                let text = format!("cut off from {whom}; {held} chunks and bytes held back");
                return Ok(Proof::when(held > 0, text));
            }
            Undo::EndTask(task, end) => {
                // The task ends at once, or has already.
                let _ = end.send(());
                let count = self.runtime.block_on(task)?;
                return Ok(Proof::when(
                    count > 0,
                    format!("{count} compactions acknowledged"),
                ));
            }
            Undo::PowerOn => self.power_on()?,
        }
        Ok(proof)
    }

    fn power_on(&mut self) -> Result<()> {
        let members = 0..self.cluster.len();
        for member in members.clone() {
            if self.cluster.member(member).process.is_running() {
                self.cluster.kill(member)?;
            }
            self.cluster.member(member).storage.disk()?.restore()?;
        }
        for member in members {
            self.cluster.restart(member)?;
        }
        for server in 0..self.servers.len() {
            self.servers.restart(server)?;
        }
        Ok(())
    }
}
