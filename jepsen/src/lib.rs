//! Fault tests on real processes.

#![forbid(unsafe_code)]
