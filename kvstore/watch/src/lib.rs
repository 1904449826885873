//! The watcher index, fan-out and catch-up.
