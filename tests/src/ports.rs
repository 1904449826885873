//! Loopback ports that no other test uses.
//!
//! Every test process locks one block of ports through a file that the kernel unlocks when the process ends; inside
//! the process a set remembers what is taken. The blocks lie below the ephemeral range, so that outgoing connections
//! do not take them either, and each port is bound once before it is handed out.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::TcpListener;
use std::sync::{Mutex, OnceLock, PoisonError};

const FIRST_PORT: u16 = 14_000;
const BLOCK_PORTS: u16 = 300;
const BLOCKS: u16 = 60;

struct Block {
    first: u16,
    taken: Mutex<(u16, BTreeSet<u16>)>,
    _lock: File,
}

/// One port, taken until it is dropped.
#[derive(Debug)]
pub struct Port(u16);

impl Port {
    /// Takes a port that could be bound a moment ago. Panics when the whole block is busy.
    pub fn take() -> Self {
        let block = block();
        let mut taken = block.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..BLOCK_PORTS {
            let port = block.first + taken.0;
            taken.0 = (taken.0 + 1) % BLOCK_PORTS;
            if !taken.1.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
                taken.1.insert(port);
                return Self(port);
            }
        }
        panic!(
            "no free port in {}..{}",
            block.first,
            block.first + BLOCK_PORTS
        );
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.0
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut taken = block().taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.1.remove(&self.0);
    }
}

fn block() -> &'static Block {
    static BLOCK: OnceLock<Block> = OnceLock::new();
    BLOCK.get_or_init(|| {
        let dir = std::env::temp_dir().join("mainstay-test-ports");
        std::fs::create_dir_all(&dir).expect("the temporary folder is writable");
        for index in 0..BLOCKS {
            let lock = File::create(dir.join(index.to_string())).expect("lock file");
            if lock.try_lock().is_ok() {
                let first = FIRST_PORT + index * BLOCK_PORTS;
                return Block {
                    first,
                    taken: Mutex::default(),
                    _lock: lock,
                };
            }
        }
        panic!("all {BLOCKS} blocks of test ports are locked by running tests");
    })
}

const _: () = assert!(FIRST_PORT + BLOCKS * BLOCK_PORTS <= 32_768);

#[cfg(test)]
mod tests {
    use super::Port;

    #[test]
    fn ports_differ_and_return() {
        let ports: Vec<Port> = (0..20).map(|_| Port::take()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 20);
    }
}
