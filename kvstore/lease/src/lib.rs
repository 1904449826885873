//! The lease state machine: expiry, renewal and checkpoints, with time passed in.
