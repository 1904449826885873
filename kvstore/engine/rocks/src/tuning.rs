//! RocksDB's settings: one place, each with its reason.

use crate::RocksOptions;
use crate::limits::{
    BACKGROUND_JOBS_MAX, BLOCK_BYTES, DELETIONS_RATIO, DELETIONS_TRIGGER, DELETIONS_WINDOW,
    HIST_L0_FILES_TRIGGER, LIVE_BLOCK_BYTES, MANIFEST_STEP_BYTES, MEMTABLE_BYTES_MAX,
    MEMTABLES_PER_CF_MAX, OPEN_FILES_MAX, SMALL_MEMTABLE_BYTES_MAX, TABLE_FILE_BYTES,
    TABLE_FILE_BYTES_MIN, WINDOW_BITS_DEFAULT, ZSTD_LEVEL,
};
use mainstay_engine::{Cf, superseded_at};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DataBlockIndexType,
    Options, compaction_filter::Decision,
};
use rocksdb::{InfoLogger, LogLevel};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Settings of the whole database.
pub(crate) fn database(chosen: &RocksOptions) -> Options {
    let mut o = Options::default();
    o.create_if_missing(!chosen.must_exist);
    o.create_missing_column_families(!chosen.must_exist);
    // Without a write-ahead log only this keeps the column families at one moment across a crash.
    o.set_atomic_flush(true);
    o.set_paranoid_checks(true);
    o.set_max_background_jobs(BACKGROUND_JOBS_MAX);
    o.set_max_open_files(OPEN_FILES_MAX);
    o.set_db_write_buffer_size(chosen.memtables_bytes);
    // Write-back in small steps: a burst of dirty pages would delay the Raft log's fsync.
    o.set_bytes_per_sync(1 << 20);
    // RocksDB would take 4 MiB at once, which a nearly full disk may not have.
    o.set_manifest_preallocation_size(MANIFEST_STEP_BYTES);
    o.set_stats_dump_period_sec(0);
    o.set_stats_persist_period_sec(0);
    // RocksDB's own log repeats what errors say and grows without need.
    o.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| {}));
    o
}

/// The column families with their settings. `droppable` is read by the compaction filter of `hist`.
pub(crate) fn families(
    chosen: &RocksOptions,
    droppable: &Arc<AtomicI64>,
) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_hyper_clock_cache(chosen.block_cache_bytes, 0);
    let family = |cf: Cf| {
        let options = match cf {
            Cf::Live => live(&cache, chosen),
            Cf::Hist => hist(&cache, chosen, droppable),
            Cf::Log => large(&cache, chosen),
            Cf::Lease | Cf::Auth | Cf::Meta => small(&cache, chosen),
        };
        ColumnFamilyDescriptor::new(cf.name(), options)
    };
    let mut families: Vec<_> = Cf::ALL.into_iter().map(family).collect();
    // RocksDB insists on this one. Nothing is written to it.
    families.push(ColumnFamilyDescriptor::new(
        "default",
        small(&cache, chosen),
    ));
    families
}

/// Point reads of present and absent keys (every put reads first), ordered scans, overwrites, churn.
fn live(cache: &Cache, chosen: &RocksOptions) -> Options {
    let mut o = large(cache, chosen);
    let mut tables = table_options(cache);
    tables.set_block_size(LIVE_BLOCK_BYTES);
    tables.set_bloom_filter(10.0, false);
    tables.set_whole_key_filtering(true);
    tables.set_optimize_filters_for_memory(true);
    // Point reads find their key in a block by hash instead of binary search.
    tables.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    o.set_block_based_table_factory(&tables);
    // What stays is worth the smaller size; history and log are short-lived.
    o.set_bottommost_compression_type(DBCompressionType::Zstd);
    o.set_bottommost_compression_options(WINDOW_BITS_DEFAULT, ZSTD_LEVEL, 0, 0, true);
    o.set_memtable_whole_key_filtering(true);
    o.set_memtable_prefix_bloom_ratio(0.02);
    deletions(&mut o);
    o
}

/// Written once, mostly dropped soon; read for old revisions.
fn hist(cache: &Cache, chosen: &RocksOptions, droppable: &Arc<AtomicI64>) -> Options {
    let mut o = large(cache, chosen);
    // Most of it is dropped before a second compaction would pay.
    o.set_level_zero_file_num_compaction_trigger(HIST_L0_FILES_TRIGGER);
    let droppable = Arc::clone(droppable);
    // Runs inside RocksDB, where a panic would abort: nothing here can. A damaged record is kept.
    o.set_compaction_filter(
        "superseded",
        move |_level, _key, value| match superseded_at(value) {
            Some(superseded) if superseded <= droppable.load(Ordering::Relaxed) => Decision::Remove,
            _ => Decision::Keep,
        },
    );
    o
}

fn large(cache: &Cache, chosen: &RocksOptions) -> Options {
    let mut o = any(cache);
    // A compaction takes the room of a whole file at once. Small memory stands for a small disk.
    let file_bytes =
        (chosen.memtables_bytes as u64 / 4).clamp(TABLE_FILE_BYTES_MIN, TABLE_FILE_BYTES);
    o.set_target_file_size_base(file_bytes);
    // RocksDB's default for the default memory: merging new files takes about that much room.
    o.set_max_bytes_for_level_base(4 * chosen.memtables_bytes as u64);
    o.set_write_buffer_size(memtable_bytes(chosen, MEMTABLE_BYTES_MAX));
    o.set_max_write_buffer_number(MEMTABLES_PER_CF_MAX);
    o.set_compression_type(DBCompressionType::Lz4);
    o
}

/// After the disk was full, RocksDB writes again only when there is room for the largest memtable of all column
/// families, even of those that hold next to nothing.
fn memtable_bytes(chosen: &RocksOptions, at_most: usize) -> usize {
    at_most.min(chosen.memtables_bytes / 2)
}

fn small(cache: &Cache, chosen: &RocksOptions) -> Options {
    let mut o = any(cache);
    o.set_write_buffer_size(memtable_bytes(chosen, SMALL_MEMTABLE_BYTES_MAX));
    o.set_compression_type(DBCompressionType::Lz4);
    // Lease attachments come and go.
    deletions(&mut o);
    o
}

fn any(cache: &Cache) -> Options {
    let mut o = Options::default();
    o.set_target_file_size_base(TABLE_FILE_BYTES);
    o.set_level_compaction_dynamic_level_bytes(true);
    o.set_block_based_table_factory(&table_options(cache));
    o
}

fn deletions(o: &mut Options) {
    o.add_compact_on_deletion_collector_factory(
        DELETIONS_WINDOW,
        DELETIONS_TRIGGER,
        DELETIONS_RATIO,
    );
}

fn table_options(cache: &Cache) -> BlockBasedOptions {
    let mut tables = BlockBasedOptions::default();
    tables.set_block_cache(cache);
    tables.set_block_size(BLOCK_BYTES);
    tables.set_format_version(6);
    // Counted in the cache, so that memory stays bounded; those of fresh files stay in.
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_cache_index_and_filter_blocks_with_high_priority(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    tables
}
