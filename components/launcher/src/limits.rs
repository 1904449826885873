//! Every limit and deadline of this crate, in one place.

use std::time::Duration;

/// Longest part of another program's stderr that an error repeats, in bytes.
pub const STDERR_SHOWN_MAX: usize = 2_048;
/// Open files that a process of a cluster of a few nodes needs.
pub const OPEN_FILES_MIN: u64 = 4_096;
/// Free space below which a cluster is not worth starting, in bytes.
pub const DISK_FREE_MIN: u64 = 2 << 30;
/// Available memory below which the same holds, in bytes.
pub const MEMORY_FREE_MIN: u64 = 1 << 30;

/// Masters of one cluster: each has a member of the store, and more members make it slower.
pub const MASTERS_MAX: usize = 7;
/// Workers of one cluster on one machine.
pub const WORKERS_MAX: usize = 100;

/// Members of a store without hosts: each has ports of its own, and there are no more.
pub const EMBEDDED_MEMBERS_MAX: usize = 5;
/// Fake nodes of a cluster without hosts.
pub const EMBEDDED_NODES_MAX: usize = 5_000;
/// Sets of ports of 127.0.0.1 that are tried for a cluster without hosts.
pub const PORT_SHIFTS: u16 = 30;
/// Between two such sets.
pub const PORT_SHIFT: u16 = 100;

/// Days that an authority is good for.
pub const AUTHORITY_DAYS: i64 = 3_650;
/// Days that a certificate is good for.
pub const CERTIFICATE_DAYS: i64 = 365;
/// Days before its end from which on `up` makes a new certificate.
pub const CERTIFICATE_DAYS_LEFT_MIN: i64 = 30;

/// Life of a token with which nodes join if nobody says otherwise, and of the workers' own from each `up` on; as kubeadm's.
pub const TOKEN_LIFE: Duration = Duration::from_secs(24 * 3_600);

/// Time for the cluster to answer a machine that joins, and to have signed its answer.
pub const JOIN_PATIENCE: Duration = Duration::from_secs(20);
/// Time for one such answer.
pub const JOIN_ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// Time for a kubelet to have its first certificate.
pub const BOOTSTRAP_PATIENCE: Duration = Duration::from_secs(60);

/// Port of an apiserver on its host.
pub const API_PORT: u16 = 6_443;
/// Port of 127.0.0.1 on every host where its balancer listens.
pub const BALANCER_PORT: u16 = 6_444;
/// Port of a kubelet's API, as everywhere.
pub const KUBELET_PORT: u16 = 10_250;
/// Ports of 127.0.0.1 of the machine that are tried for its balancer, from [`API_PORT`] on.
pub const MACHINE_PORTS: u16 = 100;
/// Number of DNS among the addresses of services, as everywhere.
pub const DNS_SERVICE: u32 = 10;
/// Connections through one balancer at a time; further ones wait.
pub const BALANCED_CONNECTIONS_MAX: usize = 4_096;
/// Time for a connection to an apiserver before the next one is tried.
pub const BALANCER_CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// Time for an apiserver to say that it is ready.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(2);
/// Between two such questions.
pub const PROBE_PAUSE: Duration = Duration::from_millis(500);
/// Failed ones in a row after which it counts as not ready.
pub const PROBE_FAILURES_MAX: u32 = 2;
/// Longest first line of its answer, in bytes.
pub const HEAD_BYTES_MAX: usize = 4_096;

/// Between two looks at something that is waited for.
pub const POLL_PAUSE: Duration = Duration::from_millis(20);
/// Time for a host to be on.
pub const BOOT_PATIENCE: Duration = Duration::from_secs(30);
/// Time for all processes of a host to end in order.
pub const STOP_PATIENCE: Duration = Duration::from_secs(40);
/// Time for a killed host to be gone.
pub const KILL_PATIENCE: Duration = Duration::from_secs(20);
/// Time for the control plane to serve.
pub const SERVING_PATIENCE: Duration = Duration::from_secs(120);
/// Time for all nodes to be ready after that.
pub const READY_PATIENCE: Duration = Duration::from_secs(300);
/// Time for DNS to answer after that.
pub const DNS_PATIENCE: Duration = Duration::from_secs(180);
/// Time for another command to be done with the machine's network.
pub const MACHINE_LOCK_PATIENCE: Duration = Duration::from_secs(60);
/// Names in a line about what is waited for.
pub const NAMES_SHOWN_MAX: usize = 5;
/// Between two lines about something that is still waited for.
pub const PROGRESS_PAUSE: Duration = Duration::from_secs(5);

/// Time for a process to end after SIGTERM.
pub const SERVICE_STOP_PATIENCE: Duration = Duration::from_secs(15);
/// First pause before a process that ended is started again; doubled up to [`RESTART_PAUSE_MAX`].
pub const RESTART_PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest such pause.
pub const RESTART_PAUSE_MAX: Duration = Duration::from_secs(10);
/// A process that ran for this long begins with the first pause again.
pub const STEADY_AFTER: Duration = Duration::from_secs(20);
/// Size of a log after which a new one begins, in bytes.
pub const LOG_BYTES_MAX: u64 = 10 << 20;
/// Older logs of a process that are kept.
pub const LOGS_KEPT: u32 = 2;
/// Bytes of a log taken over at a time.
pub const LOG_CHUNK: usize = 16 << 10;
/// Time for a supervisor to answer.
pub const CONTROL_PATIENCE: Duration = Duration::from_secs(60);
/// Longest question to it, in bytes.
pub const CONTROL_LINE_MAX: u64 = 4_096;
/// Time for an apiserver to answer `mainstay status`.
pub const STATUS_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that VXLAN adds to a packet.
pub const VXLAN_OVERHEAD: u32 = 50;
/// Which VXLAN of those between the same hosts it is.
pub const VXLAN_ID: u32 = 1;
/// Its port, as IANA has it.
pub const VXLAN_PORT: u16 = 4_789;
/// Between two looks at the host's network when nothing was heard of.
pub const NETWORK_ROUND: Duration = Duration::from_secs(60);
/// Shortest time between two looks.
pub const NETWORK_PAUSE: Duration = Duration::from_millis(200);
/// Time after which a change that failed is tried again.
pub const NETWORK_RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Time for a host's container runtime to answer.
pub const RUNTIME_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of the files of one image.
pub const IMAGE_BYTES_MAX: usize = 1 << 30;
/// Folders within folders that an image is made of.
pub const IMAGE_DEPTH_MAX: usize = 64;
