//! Whose end of a loopback connection it is: the kernel's table of sockets names an inode, and the process that holds
//! it has a link to it among its open files.

use crate::limits::PROXY_IDENTIFY_DEADLINE;
use crate::party::Party;
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks for a process that has not been registered yet.
const PAUSE: Duration = Duration::from_millis(10);

/// Which process is which party; shared by all proxies of a cluster. A restarted member must be registered anew, at the
/// latest [`PROXY_IDENTIFY_DEADLINE`] after it connects for the first time.
#[derive(Clone, Debug, Default)]
pub struct ProcessTable {
    parties: Arc<Mutex<BTreeMap<Party, u32>>>,
}

impl ProcessTable {
    /// Registers the process of a party, instead of any earlier one.
    pub fn register(&self, party: Party, pid: u32) {
        self.parties().insert(party, pid);
    }

    /// No code panics while it holds this lock.
    fn parties(&self) -> MutexGuard<'_, BTreeMap<Party, u32>> {
        self.parties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The party at the other end, `caller`, of a connection to `listen`.
    pub(super) async fn find(&self, caller: SocketAddr, listen: SocketAddr) -> Option<Party> {
        let end = Instant::now() + PROXY_IDENTIFY_DEADLINE;
        loop {
            // Copied, so that the lock is not held while reading /proc.
            let parties = self.parties().clone();
            if let Some(inode) = inode(caller, listen)
                && let Some((party, _)) = parties.iter().find(|(_, pid)| holds(**pid, &inode))
            {
                return Some(*party);
            }
            if Instant::now() >= end {
                return None;
            }
            sleep(PAUSE).await;
        }
    }
}

/// The inode of the socket whose own end is `local` and whose other end is `remote`. Only IPv4: loopback mode uses
/// nothing else.
fn inode(local: SocketAddr, remote: SocketAddr) -> Option<String> {
    let table = fs::read_to_string("/proc/self/net/tcp").ok()?;
    let (local, remote) = (hex(local)?, hex(remote)?);
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let same = fields.next()? == local && fields.next()? == remote;
        // State, queues, timer, retransmits, user, timeout come before it.
        same.then(|| fields.nth(6).map(str::to_owned)).flatten()
    })
}

/// An address as the kernel's table writes it: the 32-bit number in the machine's byte order.
fn hex(address: SocketAddr) -> Option<String> {
    let IpAddr::V4(ip) = address.ip() else {
        return None;
    };
    Some(format!(
        "{:08X}:{:04X}",
        u32::from_ne_bytes(ip.octets()),
        address.port()
    ))
}

fn holds(pid: u32, inode: &str) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|link| link.to_str() == Some(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_is_traced_to_its_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap();
        let stream = TcpStream::connect(listen).unwrap();
        let inode = inode(stream.local_addr().unwrap(), listen).unwrap();
        assert!(holds(std::process::id(), &inode));
        assert!(!holds(1_000_000_000, &inode));
    }
}
