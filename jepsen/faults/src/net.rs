//! Members with addresses of their own: network namespaces behind a bridge, and packet filters between them.
//!
//! ```text
//! root namespace                 10.213.SLOT.1    bridge msfSLOT-br: the clients
//! msfSLOT-m0, m1, …              10.213.SLOT.11…  one namespace each, a veth pair to the bridge
//! ```
//!
//! Filters lie in the members' namespaces only: nothing of the machine's own rules is touched. A packet is dropped
//! where it arrives, or, on its way to the clients, where it leaves. No connection tracking: established connections
//! are cut and resume like new ones.

mod rules;

pub use rules::{Drops, Loss, Rules};

use crate::command;
use crate::error::{Error, Result};
use crate::limits::MEMBERS_MAX;
use crate::party::Party;
use crate::run::Run;
use crate::spawn;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const NAMESPACES: &str = "/run/netns";

/// A handle to a network namespace; processes are started and proxies run in it.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
    file: Arc<File>,
}

impl Namespace {
    /// The name by which `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does something on a thread that enters the namespace and ends there, such as making sockets. Those stay in the
    /// namespace. Fails if the thread panics.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let file = Arc::clone(&self.file);
        let inside = std::thread::spawn(move || spawn::move_this_thread(&file).map(|()| work()));
        let done = inside
            .join()
            .map_err(|_| Error::Misuse(format!("the work in {} panicked", self.name)))?;
        done.map_err(Error::io(format!("enter {}", self.name)))
    }

    /// The open namespace, for starting threads and processes in it.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    fn open(name: String) -> Result<Self> {
        let path = Path::new(NAMESPACES).join(&name);
        let file = File::open(&path).map_err(Error::io(format!("open {}", path.display())))?;
        Ok(Self {
            name,
            file: Arc::new(file),
        })
    }

    /// A command that will run inside.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        spawn::enter(&mut command, Arc::clone(&self.file));
        command
    }
}

/// A network of members. Everything is removed when it is dropped; by then its processes should have ended.
#[derive(Debug)]
pub struct Network {
    members: Vec<Namespace>,
    // The slot must stay claimed as long as names with its number exist.
    run: Run,
}

impl Network {
    /// Makes namespaces for `members` members (1 to [`MEMBERS_MAX`]). One network per run.
    pub fn create(run: &Run, members: usize) -> Result<Self> {
        if !(1..=MEMBERS_MAX).contains(&members) {
            return Err(Error::Misuse(format!(
                "{members} members; 1 to {MEMBERS_MAX} are possible"
            )));
        }
        let prefix = run.prefix();
        if Path::new("/sys/class/net")
            .join(format!("{prefix}br"))
            .exists()
        {
            return Err(Error::Misuse(format!(
                "run {} has a network already",
                run.slot()
            )));
        }
        let made = Self::build(run, members);
        if made.is_err() {
            sweep(&prefix);
        }
        made
    }

    fn build(run: &Run, members: usize) -> Result<Self> {
        use std::fmt::Write as _;
        let prefix = run.prefix();
        let bridge = format!("{prefix}br");
        let gateway = address(run.slot(), Party::Clients);
        let mut outside = format!(
            "link add {bridge} type bridge\naddr add {gateway}/24 dev {bridge}\nlink set {bridge} up\n"
        );
        for index in 0..members {
            let _ = write!(
                outside,
                "netns add {prefix}m{index}\n\
                 link add {prefix}v{index} type veth peer name eth0 netns {prefix}m{index}\n\
                 link set {prefix}v{index} master {bridge}\nlink set {prefix}v{index} up\n"
            );
        }
        command::feed(batch(Command::new("ip")), &outside)?;
        let mut namespaces = Vec::new();
        for index in 0..members {
            let namespace = Namespace::open(format!("{prefix}m{index}"))?;
            let own = address(run.slot(), Party::Member(index));
            let inside = format!("link set lo up\naddr add {own}/24 dev eth0\nlink set eth0 up\n");
            command::feed(batch(namespace.command("ip")), &inside)?;
            command::feed(nft(&namespace), &rules::base(members))?;
            namespaces.push(namespace);
        }
        Ok(Self {
            members: namespaces,
            run: run.clone(),
        })
    }

    /// How many members there are.
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// A party's address. Members can use any port of theirs.
    pub fn address(&self, party: Party) -> Ipv4Addr {
        address(self.run.slot(), party)
    }

    /// A member's namespace.
    ///
    /// # Panics
    /// If there is no such member.
    pub fn namespace(&self, member: usize) -> &Namespace {
        &self.members[member]
    }

    /// Replaces all rules by these: one atomic transaction per namespace, all namespaces at the same time. They act at
    /// once, on open connections too. Counts of dropped packets go on.
    pub fn apply(&self, rules: &Rules) -> Result<()> {
        rules.check(self.members.len())?;
        let slot = self.run.slot();
        self.everywhere(|index, namespace| {
            let text = rules.for_member(index, |party| address(slot, party));
            command::feed(nft(namespace), &text).map(drop)
        })
        .map(drop)
    }

    /// No rules: everything arrives.
    pub fn heal(&self) -> Result<()> {
        self.apply(&Rules::default())
    }

    /// Packets dropped since the network was made, per direction.
    pub fn drops(&self) -> Result<Drops> {
        let mut drops = Drops::default();
        let texts = self.everywhere(|_, namespace| {
            let mut command = namespace.command("nft");
            command.args(["-j", "list", "counters", "table", "inet", rules::TABLE]);
            command::feed(command, "")
        })?;
        for (index, text) in texts.iter().enumerate() {
            drops.add_member(index, text)?;
        }
        Ok(drops)
    }

    /// Does `work` for every member on a thread of its own.
    fn everywhere<T: Send>(
        &self,
        work: impl Fn(usize, &Namespace) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = self
                .members
                .iter()
                .enumerate()
                .map(|(index, namespace)| scope.spawn(move || work(index, namespace)))
                .collect();
            threads
                .into_iter()
                .map(|t| t.join().expect("the work does not panic"))
                .collect()
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        sweep(&self.run.prefix());
    }
}

fn address(slot: u8, party: Party) -> Ipv4Addr {
    let host = match party {
        Party::Clients => 1,
        Party::Member(index) => 11 + u8::try_from(index).expect("at most MEMBERS_MAX members"),
    };
    Ipv4Addr::new(10, 213, slot, host)
}

fn batch(mut command: Command) -> Command {
    command.args(["-batch", "-"]);
    command
}

fn nft(namespace: &Namespace) -> Command {
    let mut command = namespace.command("nft");
    command.args(["-f", "-"]);
    command
}

/// Removes all namespaces and links whose names begin with `prefix`, and kills what still runs in those namespaces.
pub(crate) fn sweep(prefix: &str) {
    for name in names(NAMESPACES, prefix) {
        if let Ok(pids) = command::run("ip", ["netns", "pids", &name]) {
            kill_all(&name, &pids);
        }
        warn_if_left(&name, command::run("ip", ["netns", "delete", &name]));
    }
    // Removing the bridge leaves the veth ends, if their namespaces were never made.
    for name in names("/sys/class/net", prefix) {
        let removed = command::run("ip", ["link", "delete", &name]);
        // The kernel removes the veth of a deleted namespace itself, and may be faster or slower than we are.
        if Path::new("/sys/class/net").join(&name).exists() {
            warn_if_left(&name, removed);
        }
    }
}

fn names(folder: &str, prefix: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(prefix))
        .collect()
}

fn kill_all(namespace: &str, pids: &str) {
    use rustix::process::{Pid, Signal, kill_process};
    // A thread of this process that serves a proxy counts as this process.
    let own = i32::try_from(std::process::id()).expect("process ids are positive i32");
    let ids = pids
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .filter(|id| *id != own);
    for pid in ids.filter_map(Pid::from_raw) {
        tracing::warn!(namespace, ?pid, "killing a process left in a namespace");
        // It may just have ended.
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn warn_if_left(name: &str, removed: Result<String>) {
    if let Err(error) = removed {
        tracing::warn!(name, "could not remove: {error}");
    }
}
