//! Deterministic simulation of the store.
