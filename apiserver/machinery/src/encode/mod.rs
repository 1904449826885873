//! Objects as bytes.
//!
//! What is stored is [`canonical`] JSON: `{"kind":…,"apiVersion":…,"metadata":{…},…` with `metadata` third and without
//! `resourceVersion`, all other keys sorted. Serving an object is then two copies and a number between them
//! ([`splice`]), a list is a concatenation ([`list_head`], [`list_item`]), and nothing is parsed.

mod canonical;
mod complete;
mod framing;
mod partial;
mod splice;
mod yaml;
mod yaml_text;

pub use canonical::{canonical, json};
pub use complete::complete;
pub use framing::{LIST_TAIL, ListMeta, list_head, list_item};
pub use partial::{partial_bytes, partial_metadata, partial_metadata_list};
pub use splice::{Spliced, is_canonical, member, splice, splice_bytes};
pub use yaml::yaml;

#[cfg(test)]
mod tests;
