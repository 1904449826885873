//! What the Kubernetes API consists of: types, resources, and the documents that describe them.
#![forbid(unsafe_code)]
