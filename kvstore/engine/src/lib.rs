//! An ordered key-value engine with atomic batches, snapshots and checkpoints.
