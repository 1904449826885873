//! The state file: what was decided when the cluster was made, and must not change while it lives.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Embedded, Folders, Host, Role};
use crate::files;
use crate::limits::{API_PORT, MASTERS_MAX, WORKERS_MAX};

/// Of the state file. Programs that know only older ones refuse newer ones; what is new since 1 may be missing.
const VERSION: u32 = 2;
/// What begins the names of bridges, and of no other links.
pub(crate) const BRIDGE: &str = "ms-";
/// First host's number in its subnet.
const FIRST_MASTER: u32 = 11;
const FIRST_WORKER: u32 = 101;

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cluster {
    version: u32,
    /// Six hexadecimal digits, in the names of links and cgroups.
    pub(crate) id: String,
    /// Addresses of hosts; the first one is the machine's.
    #[serde(with = "text")]
    pub(crate) subnet: Ipv4Net,
    #[serde(with = "text")]
    pub(crate) pod_cidr: Ipv4Net,
    #[serde(with = "text")]
    pub(crate) service_cidr: Ipv4Net,
    /// Port of 127.0.0.1 where the machine's balancer listens.
    pub(crate) port: u16,
    /// Folders below which the cgroups of hosts are, one for each hierarchy.
    pub(crate) cgroups: Vec<PathBuf>,
    pub(crate) hosts: Vec<Host>,
    /// The machine's own address at which other machines reach the apiservers, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) advertise: Option<Ipv4Addr>,
    /// Set where there are no hosts, but only processes of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) embedded: Option<Embedded>,
    /// Whether the API has what others need before they start, such as their roles.
    #[serde(default)]
    pub(crate) furnished: bool,
    #[serde(skip)]
    folders: PathBuf,
}

/// What somebody asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) masters: usize,
    pub(crate) workers: usize,
}

impl Cluster {
    /// Reads what is there, if there is any.
    pub(crate) fn read(root: &Path) -> Result<Option<Self>> {
        let path = Folders::new(root).state();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context(path.display().to_string()),
        };
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let versioned: Versioned =
            serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        if versioned.version == 0 || versioned.version > VERSION {
            bail!(
                "{} has version {}, and this program knows {VERSION}: use the program that made it",
                path.display(),
                versioned.version
            );
        }
        let mut cluster: Self =
            serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        cluster.version = VERSION;
        root.clone_into(&mut cluster.folders);
        Ok(Some(cluster))
    }

    /// Reads what must be there.
    pub(crate) fn there(root: &Path) -> Result<Self> {
        Self::read(root)?.with_context(|| {
            format!(
                "there is no cluster in {}: start one with 'mainstay up', or say where it is with --dir",
                root.display()
            )
        })
    }

    /// A new one.
    pub(crate) fn new(root: &Path, subnet: Ipv4Net, port: u16, cgroups: Vec<PathBuf>) -> Self {
        Self {
            version: VERSION,
            id: id(root),
            subnet,
            pod_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 16),
            service_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16),
            port,
            cgroups,
            hosts: Vec::new(),
            advertise: None,
            embedded: None,
            furnished: false,
            folders: root.to_owned(),
        }
    }

    /// A new one without hosts.
    pub(crate) fn embedded(root: &Path, port: u16, embedded: Embedded) -> Self {
        let loopback = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
        Self {
            embedded: Some(embedded),
            ..Self::new(root, loopback, port, Vec::new())
        }
    }

    /// Adds hosts until there are as many as wanted. Returns the workers that are no longer wanted.
    pub(crate) fn grow(&mut self, wanted: Wanted) -> Result<Vec<Host>> {
        let masters = self.masters().count();
        if wanted.masters == 0 || wanted.masters > MASTERS_MAX || wanted.workers > WORKERS_MAX {
            bail!("1 to {MASTERS_MAX} masters and up to {WORKERS_MAX} workers are possible");
        }
        if masters != 0 && masters != wanted.masters {
            bail!(
                "the cluster in {} has {masters} masters, which cannot become {} afterwards",
                self.folders.display(),
                wanted.masters
            );
        }
        for number in masters..wanted.masters {
            self.add("master", Role::Master, number, FIRST_MASTER)?;
        }
        let workers: Vec<Host> = self.workers().cloned().collect();
        for number in workers.len()..wanted.workers {
            self.add("worker", Role::Worker, number, FIRST_WORKER)?;
        }
        let surplus: Vec<Host> = workers.into_iter().skip(wanted.workers).collect();
        self.hosts.retain(|host| !surplus.contains(host));
        Ok(surplus)
    }

    fn add(&mut self, name: &str, role: Role, number: usize, first: u32) -> Result<()> {
        let nth = first.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
        let address = self.subnet.hosts().nth(nth as usize - 1);
        self.hosts.push(Host {
            name: format!("{name}-{}", number + 1),
            role,
            address: address.context("the subnet is too small for so many hosts")?,
        });
        Ok(())
    }

    pub(crate) fn write(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("the state")?;
        files::write(&self.folders().state(), &text, 0o600)
    }

    pub(crate) fn folders(&self) -> Folders {
        Folders::new(&self.folders)
    }

    pub(crate) fn masters(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.is_master())
    }

    pub(crate) fn workers(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| !host.is_master())
    }

    pub(crate) fn host(&self, name: &str) -> Result<&Host> {
        let found = self.hosts.iter().find(|host| host.name == name);
        let names = || {
            self.hosts
                .iter()
                .map(|host| host.name.as_str())
                .collect::<Vec<_>>()
        };
        found.with_context(|| format!("there is no host {name}: there are {}", names().join(", ")))
    }

    /// Where machines beside this one find an apiserver: the advertised address, or the first master's for who has a
    /// route to it.
    pub(crate) fn entrance(&self) -> Option<SocketAddr> {
        let advertised = self.advertise.map(|address| (address, self.port));
        let first = || Some((self.masters().next()?.address, API_PORT));
        advertised.or_else(first).map(SocketAddr::from)
    }

    /// The machine's own address among the hosts.
    pub(crate) fn gateway(&self) -> Ipv4Addr {
        self.subnet.hosts().next().unwrap_or(self.subnet.addr())
    }

    pub(crate) fn bridge(&self) -> String {
        format!("{BRIDGE}{}", self.id)
    }

    /// The machine's end of a host's link: at most 15 bytes.
    pub(crate) fn link(&self, host: &Host) -> String {
        format!("ms{}-{}", self.id, host.address.octets()[3])
    }

    /// The cluster's own folder in each cgroup hierarchy.
    pub(crate) fn cgroup(&self) -> String {
        format!("mainstay-{}", self.id)
    }

    /// The address of a service that has a number of its own, as 10 for DNS.
    pub(crate) fn service(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.service_cidr.network()).saturating_add(number))
    }
}

/// What tells the links, cgroups and tables of one folder from those of others: six hexadecimal digits.
pub(crate) fn id(root: &Path) -> String {
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let digits = digest.iter().take(3).map(|byte| format!("{byte:02x}"));
    digits.collect()
}

/// Networks as text.
pub(crate) mod text {
    use ipnet::Ipv4Net;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(net: &Ipv4Net, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(net)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Ipv4Net, D::Error> {
        let text = String::deserialize(from)?;
        text.parse()
            .map_err(|_| D::Error::custom(format!("{text:?} is not a network")))
    }
}

/// Held while a command changes the cluster.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: fs::File,
}

impl Lock {
    pub(crate) fn take(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| root.display().to_string())?;
        let path = root.join(".lock");
        let file = fs::File::create(&path).with_context(|| path.display().to_string())?;
        if file.try_lock().is_err() {
            bail!("another 'mainstay' is at work in {}", root.display());
        }
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(root: &Path) -> Cluster {
        let subnet = Ipv4Net::new_assert(Ipv4Addr::new(10, 240, 0, 0), 24);
        Cluster::new(root, subnet, 6443, Vec::new())
    }

    #[test]
    fn hosts_keep_their_addresses_while_workers_come_and_go() {
        let mut cluster = cluster(Path::new("/run"));
        let wanted = |workers| Wanted {
            masters: 3,
            workers,
        };
        assert_eq!(cluster.grow(wanted(2)).expect("room"), []);
        let described: Vec<String> = cluster
            .hosts
            .iter()
            .map(|host| format!("{} {}", host.name, host.address))
            .collect();
        assert_eq!(
            described,
            [
                "master-1 10.240.0.11",
                "master-2 10.240.0.12",
                "master-3 10.240.0.13",
                "worker-1 10.240.0.101",
                "worker-2 10.240.0.102",
            ]
        );
        let gone = cluster.grow(wanted(1)).expect("fewer");
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].name, "worker-2");
        assert_eq!(cluster.workers().count(), 1);
        let refused = cluster.grow(Wanted {
            masters: 1,
            workers: 1,
        });
        assert!(refused.expect_err("members stay").to_string().contains("3"));
        assert!(cluster.link(&cluster.hosts[3]).len() <= 15);
        assert_eq!(cluster.gateway(), Ipv4Addr::new(10, 240, 0, 1));
        assert_eq!(cluster.service(10), Ipv4Addr::new(10, 96, 0, 10));
    }

    #[test]
    fn state_is_read_again_and_newer_versions_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Cluster::read(folder.path()).expect("nothing yet"), None);
        let mut written = cluster(folder.path());
        let wanted = Wanted {
            masters: 1,
            workers: 1,
        };
        written.grow(wanted).expect("room");
        written.write().expect("it is written");
        let read = Cluster::read(folder.path()).expect("it is read");
        assert_eq!(read, Some(written));
        let path = Folders::new(folder.path()).state();
        fs::write(&path, r#"{"version": 3}"#).expect("it is written");
        let error = Cluster::read(folder.path()).expect_err("from the future");
        assert!(error.to_string().contains("version 3"), "{error}");
    }

    #[test]
    fn one_command_at_a_time_changes_a_cluster() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = Lock::take(folder.path()).expect("nobody has it");
        assert!(Lock::take(folder.path()).is_err());
        drop(lock);
        assert!(Lock::take(folder.path()).is_ok());
    }
}
