//! What differs from kind to kind: defaults, rules, printed columns.
#![forbid(unsafe_code)]
