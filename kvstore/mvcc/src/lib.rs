//! Revisions, ranges, transactions, compaction and hashing over an engine.
