//! Packets through the rules: network namespaces stand for a node, its pods and clients outside.
//!
//! Needs root, `ip`, `nft` and `iptables`; where they are missing every test says so and does nothing.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends with what it did not expect, and says why it did not run"
)]

#[path = "packets/cases.rs"]
mod cases;
#[path = "packets/net.rs"]
mod net;
#[path = "packets/town.rs"]
mod town;
