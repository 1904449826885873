//! What can be chosen when an engine is opened.

use crate::limits::{
    BLOCK_CACHE_BYTES_MAX, BLOCK_CACHE_BYTES_MIN, BLOCK_CACHE_MEMORY_DIVISOR, MEMTABLES_BYTES_MAX,
};

/// Options of [`crate::RocksEngine::open`]. They may differ from one opening to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RocksOptions {
    /// Memory for uncompressed table blocks, indexes and filters, in bytes.
    pub block_cache_bytes: usize,
    /// Memory for writes that are not in a table file yet, in bytes. Bounds what a crash leaves to be
    /// replayed from the Raft log.
    pub memtables_bytes: usize,
    /// Refuse to create a database where there is none.
    pub must_exist: bool,
}

impl Default for RocksOptions {
    /// The block cache takes a 64th of the machine's memory, 32 MiB to 256 MiB; memtables 64 MiB.
    fn default() -> Self {
        let share = machine_memory_bytes().unwrap_or(0) / BLOCK_CACHE_MEMORY_DIVISOR;
        let cache = share.clamp(BLOCK_CACHE_BYTES_MIN, BLOCK_CACHE_BYTES_MAX);
        Self {
            block_cache_bytes: usize::try_from(cache).unwrap_or(usize::MAX),
            memtables_bytes: MEMTABLES_BYTES_MAX,
            must_exist: false,
        }
    }
}

fn machine_memory_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_cache_fits_the_machine() {
        let options = RocksOptions::default();
        let bytes = options.block_cache_bytes as u64;
        assert!((BLOCK_CACHE_BYTES_MIN..=BLOCK_CACHE_BYTES_MAX).contains(&bytes));
    }
}
