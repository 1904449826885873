//! The rules in the kernel, by the programs `iptables`, `iptables-save` and `iptables-restore`.

use std::time::Duration;

use mainstay_client::Key;

use super::base::{Base, FIXED, JUMPS, Jump};
use super::fragment::{Fragment, List, Surroundings};
use super::names::is_of_service;
use super::saved::Saved;
use super::table::{Changes, Table};
use crate::command::{CommandError, run};
use crate::model::Plan;
use crate::rules::{Rules, Setting};

/// Seconds to wait for others that write rules.
const WAIT: &str = "5";
/// The same jump may have been added more than once.
const SAME_JUMPS_MAX: usize = 16;

/// iptables mode.
#[derive(Debug)]
pub struct Iptables {
    table: Table,
}

impl Iptables {
    #[must_use]
    pub fn new(setting: &Setting) -> Self {
        Self {
            table: Table::new(base(setting)),
        }
    }

    fn apply(&self, changes: &Changes) -> Result<(), CommandError> {
        let text = self.table.text(changes);
        match text.is_empty() {
            true => Ok(()),
            false => restore(&text),
        }
    }

    fn fragment(&self, plans: &[Plan]) -> Fragment {
        Fragment::new(plans, &self.table.base().around)
    }
}

fn base(setting: &Setting) -> Base {
    Base {
        mark: setting.mark,
        node_ports: setting.node_ports.clone(),
        around: Surroundings {
            local: setting.local.clone(),
            masquerade_all: setting.masquerade_all,
            node: setting.node,
        },
    }
}

fn restore(text: &str) -> Result<(), CommandError> {
    let arguments = ["--wait", WAIT, "--noflush"];
    run("iptables-restore", &arguments, text).map(drop)
}

fn save() -> Result<Saved, CommandError> {
    let mut text = String::new();
    for table in ["filter", "nat"] {
        text += &run("iptables-save", &["--table", table], "")?;
    }
    Ok(Saved::read(&text))
}

/// Checks (`-C`), adds in front (`-I`) or deletes (`-D`) a jump.
fn jump(what: &'static str, jump: Jump) -> Result<(), CommandError> {
    let mut arguments = vec!["--wait", WAIT, "-t", jump.table, what, jump.from];
    arguments.extend(jump.rule());
    run("iptables", &arguments, "").map(drop)
}

impl Rules for Iptables {
    fn update(&mut self, services: &[(Key, Vec<Plan>)]) -> Result<(), CommandError> {
        let mut changes = Changes::default();
        for (key, plans) in services {
            let fragment = self.fragment(plans);
            self.table.update(key, fragment, &mut changes);
        }
        self.apply(&changes)
    }

    fn rewrite(&mut self, setting: &Setting, all: &[(Key, Vec<Plan>)]) -> Result<(), CommandError> {
        let saved = save()?;
        self.table = Table::new(base(setting));
        for (key, plans) in all {
            let fragment = self.fragment(plans);
            self.table.update(key, fragment, &mut Changes::default());
        }
        self.apply(&self.table.everything(&saved))?;
        // Only now that the chains are whole.
        for each in JUMPS {
            if jump("-C", each).is_err() {
                jump("-I", each)?;
            }
        }
        Ok(())
    }

    fn verify(&mut self) -> Result<Vec<String>, CommandError> {
        Ok(self.table.expected().differences(&save()?))
    }

    fn tidy_after(&self) -> Option<Duration> {
        None
    }

    fn tidy(&mut self) -> Result<(), CommandError> {
        Ok(())
    }
}

/// Deletes all chains and jumps to them, if there are any.
///
/// # Errors
/// Returns what iptables complained of.
pub fn cleanup() -> Result<(), CommandError> {
    let saved = save()?;
    let lists = List::ALL.map(|list| (if list.is_nat() { "nat" } else { "filter" }, list.chain()));
    let own: Vec<(&str, &str)> = FIXED.into_iter().chain(lists).collect();
    let is_ours = |table: &str, chain: &str| own.contains(&(table, chain)) || is_of_service(chain);
    let mut text = String::new();
    for table in ["filter", "nat"] {
        let here = saved.chains.keys().filter(|(of, _)| of == table);
        let ours = here
            .map(|(_, chain)| chain)
            .filter(|chain| is_ours(table, chain));
        let ours: Vec<&String> = ours.collect();
        if ours.is_empty() {
            continue;
        }
        let heads: String = ours
            .iter()
            .map(|chain| format!(":{chain} - [0:0]\n"))
            .collect();
        let gone: String = ours.iter().map(|chain| format!("-X {chain}\n")).collect();
        text += &format!("*{table}\n{heads}{gone}COMMIT\n");
    }
    if text.is_empty() {
        return Ok(());
    }
    for each in JUMPS {
        for _ in 0..SAME_JUMPS_MAX {
            if jump("-D", each).is_err() {
                break;
            }
        }
    }
    restore(&text)
}
