//! What can be done with any Kubernetes object: decoding, patching, selecting, validating.
#![forbid(unsafe_code)]
