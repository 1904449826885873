//! The etcd-compatible server: gRPC services, HTTP side, flags and TLS.
