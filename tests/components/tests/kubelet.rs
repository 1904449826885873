//! The kubelet on a real runtime: containerd and runc in a network namespace of their own, a real apiserver and store,
//! and images made here from busybox. Where root or a program is missing nothing is tested, and a line says so.

#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect, and says what it could not do"
)]

#[path = "kubelet/lives.rs"]
mod lives;
#[path = "kubelet/machine.rs"]
mod machine;
#[path = "kubelet/node.rs"]
mod node;
#[path = "kubelet/by_kubectl.rs"]
mod by_kubectl;
