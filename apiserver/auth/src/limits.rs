//! Every limit of this crate, with its unit in the name.

/// Longest bearer token that is looked at, in bytes. Upstream is bounded by the header size (1 MiB); a
/// service account token is about 1 KiB.
pub const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// Longest PEM key file that is read, in bytes.
pub const KEY_FILE_BYTES_MAX: usize = 1024 * 1024;
/// Most keys that one key file or the whole key set may hold.
pub const KEYS_MAX: usize = 256;
/// Longest static token file, in bytes.
pub const TOKEN_FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most impersonation requests (user, groups, uid and extra values) one request may carry.
pub const IMPERSONATION_REQUESTS_MAX: usize = 256;
/// How far a clock may be off when token times are compared, in seconds (as upstream's go-jose).
pub const TOKEN_LEEWAY_SECONDS: i64 = 60;
/// Most atomic rules one role is broken into for a cover check; a role with more is refused as an escalation.
pub const ATOMIC_RULES_MAX: usize = 200_000;
/// Most containers, ports, sysctls and other items that one pod security message lists.
pub const LISTED_ITEMS_MAX: usize = 1_000;
/// Most steps a walk through the node graph takes for one request.
pub const GRAPH_STEPS_MAX: usize = 100_000;
/// Most service account tokens whose verified signature is remembered (about 1.5 KiB each).
pub const VERIFIED_TOKENS_MAX: usize = 8_192;
/// Most pods of a namespace that are checked when its pod security level changes (as upstream).
pub const NAMESPACE_PODS_CHECKED_MAX: usize = 3_000;
