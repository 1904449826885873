//! Whose end of a loopback connection it is: the kernel names the socket's inode, and the process that holds it has a
//! link to it among its open files.

use super::diag;
use crate::limits::PROXY_IDENTIFY_DEADLINE;
use crate::party::Party;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks for a process that has not been registered yet.
const PAUSE: Duration = Duration::from_millis(10);

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Known(Party),
    /// Somebody else, such as a client.
    Unknown,
    /// It has closed its end before anybody could look.
    Gone,
}

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

    /// Who is at the other end, `caller`, of a connection to `listen`.
    pub(super) async fn find(&self, caller: SocketAddr, listen: SocketAddr) -> Caller {
        // Loopback mode uses nothing else than IPv4.
        let (SocketAddr::V4(caller), SocketAddr::V4(listen)) = (caller, listen) else {
            return Caller::Unknown;
        };
        let end = Instant::now() + PROXY_IDENTIFY_DEADLINE;
        loop {
            // Copied, so that the lock is not held while reading /proc.
            let parties = self.parties().clone();
            let Some(inode) = diag::inode(caller, listen) else {
                return Caller::Gone;
            };
            if let Some((party, _)) = parties.iter().find(|(_, pid)| holds(**pid, inode)) {
                return Caller::Known(*party);
            }
            if Instant::now() >= end {
                return Caller::Unknown;
            }
            sleep(PAUSE).await;
        }
    }
}

fn holds(pid: u32, inode: u32) -> bool {
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

    #[tokio::test]
    async fn a_connection_is_traced_to_its_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap();
        let stream = TcpStream::connect(listen).unwrap();
        let caller = stream.local_addr().unwrap();
        let table = ProcessTable::default();
        table.register(Party::Member(1), std::process::id());
        assert_eq!(
            table.find(caller, listen).await,
            Caller::Known(Party::Member(1))
        );
        table.register(Party::Member(1), 1_000_000_000);
        assert_eq!(table.find(caller, listen).await, Caller::Unknown);
        drop((stream, listener));
        assert_eq!(table.find(caller, listen).await, Caller::Gone);
    }
}
