//! Every limit of this crate, with the source of its number.

/// Deepest nesting of arrays and objects. It is what serde_json reads by default, so whatever is stored can be read
/// again anywhere; Go allows 10,000. Objects are walked recursively, so the limit protects the stack. The deepest
/// built-in kinds nest about 30 levels, the schema in a CustomResourceDefinition two more for each level of its own.
pub const DEPTH_MAX: usize = 127;

/// Bytes of one request body (the apiserver's default limit is 3 MiB).
pub const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Nodes (scalars, lists, maps) one YAML document may expand to, aliases counted as often as they are used.
pub const YAML_NODES_MAX: usize = 1_000_000;

/// Bytes of text one YAML document may expand to, aliases counted as often as they are used.
pub const YAML_TEXT_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// Strict decoding errors (unknown and duplicate fields) reported for one document; the rest is not reported.
pub const STRICT_ERRORS_MAX: usize = 100;

/// Operations in one JSON patch (`maxJSONPatchOperations` upstream).
pub const JSON_PATCH_OPERATIONS_MAX: usize = 10_000;

/// Bytes that all `copy` operations of one JSON patch may add together. Upstream's apiserver bounds this by its
/// body limit: without it a short patch grows a document exponentially.
pub const JSON_PATCH_COPY_BYTES_MAX: usize = BODY_BYTES_MAX;

/// Bytes of all annotation keys and values of one object.
pub const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a field manager's name.
pub const FIELD_MANAGER_BYTES_MAX: usize = 128;

/// Bytes of `managedFields[].subresource`.
pub const SUBRESOURCE_BYTES_MAX: usize = 256;

/// Characters that generateName appends.
pub const GENERATED_SUFFIX_CHARS: usize = 5;

/// Bytes of a generated name; a longer `generateName` is cut.
pub const GENERATED_NAME_BYTES_MAX: usize = 63;

/// Bytes of a DNS label.
pub const DNS_LABEL_BYTES_MAX: usize = 63;

/// Bytes of a DNS subdomain.
pub const DNS_SUBDOMAIN_BYTES_MAX: usize = 253;

/// Bytes of a label value, and of the name part of a label key.
pub const LABEL_BYTES_MAX: usize = 63;

/// Bytes of a container or service port name.
pub const PORT_NAME_BYTES_MAX: usize = 15;

/// Bytes of a `Condition` reason and message.
pub const CONDITION_REASON_BYTES_MAX: usize = 1024;
/// See [`CONDITION_REASON_BYTES_MAX`].
pub const CONDITION_MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// Bytes of a label or field selector in its text form. Upstream has no own limit but that of the request line.
pub const SELECTOR_BYTES_MAX: usize = 64 * 1024;
