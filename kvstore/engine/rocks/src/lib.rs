//! The RocksDB engine. The only crate that names rocksdb.
