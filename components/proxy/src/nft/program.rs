//! The table in the kernel, by the program `nft`.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use mainstay_client::Key;

use super::TABLE;
use super::base::Base;
use super::fragment::{Fragment, Surroundings};
use super::table::Table;
use super::transaction::Transaction;
use super::verify::{Found, differences};
use crate::command::{CommandError, run};
use crate::limits::STALE_CHAIN_AGE;
use crate::model::Plan;
use crate::rules::{Rules, Setting};

/// nftables mode.
#[derive(Debug)]
pub struct Nftables {
    table: Table,
    /// Since when there are chains to be deleted.
    stale_since: Option<Instant>,
}

impl Nftables {
    #[must_use]
    pub fn new(setting: &Setting) -> Self {
        Self {
            table: Table::new(base(setting)),
            stale_since: None,
        }
    }

    fn fragment(&self, plans: &[Plan]) -> Fragment {
        Fragment::new(plans, &self.table.base().around)
    }

    /// Names of what is there, without elements and rules.
    fn existing() -> Result<Found, CommandError> {
        let mut found = Found::default();
        for what in ["chains", "sets", "maps"] {
            let json = run("nft", &["--json", "--terse", "list", what, "ip"], "")?;
            let part = read(&json)?;
            found.chains.extend(part.chains);
            found.sets.extend(part.sets);
        }
        Ok(found)
    }

    fn apply(tx: &Transaction) -> Result<(), CommandError> {
        if tx.is_empty() {
            return Ok(());
        }
        run("nft", &["--file", "-"], &tx.text()).map(drop)
    }

    fn note_stale(&mut self) {
        if self.stale_since.is_none() && self.table.has_stale() {
            self.stale_since = Some(Instant::now());
        }
    }
}

fn read(json: &str) -> Result<Found, CommandError> {
    let program = "nft";
    Found::read(json).map_err(|complaint| CommandError::Failed { program, complaint })
}

fn base(setting: &Setting) -> Base {
    let addresses: Option<Vec<Ipv4Addr>> = setting.node_ports.clone();
    Base {
        mark: setting.mark,
        masquerade_all: setting.masquerade_all,
        node_ports: addresses,
        around: Surroundings {
            local: setting.local.clone(),
            node: setting.node,
        },
    }
}

impl Rules for Nftables {
    fn update(&mut self, services: &[(Key, Vec<Plan>)]) -> Result<(), CommandError> {
        if self.table.is_worn() {
            return Err(CommandError::Failed {
                program: "nft",
                complaint: "numbers of endpoints run out: the table is begun anew".to_owned(),
            });
        }
        let mut tx = Transaction::default();
        for (key, plans) in services {
            let fragment = self.fragment(plans);
            self.table.update(key, fragment, &mut tx);
        }
        Self::apply(&tx)?;
        self.note_stale();
        Ok(())
    }

    fn rewrite(&mut self, setting: &Setting, all: &[(Key, Vec<Plan>)]) -> Result<(), CommandError> {
        let found = Self::existing()?;
        let mut table = Table::new(base(setting));
        std::mem::swap(&mut self.table, &mut table);
        for (key, plans) in all {
            let fragment = self.fragment(plans);
            self.table.note(key, fragment);
        }
        let mut tx = Transaction::default();
        self.table.rewrite(base(setting), &found, &mut tx);
        Self::apply(&tx)?;
        self.stale_since = None;
        self.note_stale();
        Ok(())
    }

    fn verify(&mut self) -> Result<Vec<String>, CommandError> {
        let listed = run("nft", &["--json", "list", "table", "ip", "kube-proxy"], "");
        let found = match listed {
            Ok(json) => read(&json)?,
            Err(CommandError::Failed { complaint, .. }) if complaint.contains("No such file") => {
                return Ok(vec![format!("there is no table {TABLE}")]);
            }
            Err(error) => return Err(error),
        };
        Ok(differences(&self.table.expected(), &found))
    }

    fn tidy_after(&self) -> Option<Duration> {
        let since = self.stale_since?;
        Some(STALE_CHAIN_AGE.saturating_sub(since.elapsed()))
    }

    fn tidy(&mut self) -> Result<(), CommandError> {
        let mut tx = Transaction::default();
        self.table.delete_stale(&mut tx);
        self.stale_since = None;
        Self::apply(&tx)
    }
}

/// Deletes the table, if there is one.
///
/// # Errors
/// Returns what nft complained of.
pub fn cleanup() -> Result<(), CommandError> {
    // The first line is for where there is none.
    let text = format!("add table {TABLE}\ndelete table {TABLE}\n");
    run("nft", &["--file", "-"], &text).map(drop)
}
