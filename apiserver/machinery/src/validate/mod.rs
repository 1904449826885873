//! Rules that hold for every kind: names, labels, metadata, options, and the shape the schema asks for.

mod condition;
mod content;
mod domains;
mod generation;
mod ip;
mod labels;
mod managed;
mod metadata;
mod names;
mod options;
mod shape;
#[cfg(test)]
mod tests;

pub use condition::conditions;
pub use content::*;
pub use domains::{
    domain_prefixed_key, domain_prefixed_path, fully_qualified_domain_name, fully_qualified_name,
};
pub use generation::nonnegative;
pub use ip::{
    canonical_ip, cidr, cidr_legacy, interface_address, ip, ip_legacy, masked, parse_cidr_sloppy,
    parse_ip_sloppy,
};
pub use labels::{annotations, label_name, label_selector, labels};
pub use managed::field_manager;
pub use metadata::{FIELD_IMMUTABLE, immutable, object_meta, object_meta_update};
pub use names::{
    NameRule, name_is_dns_label, name_is_dns_subdomain, name_is_dns1035_label, name_is_path_segment,
};
pub use options::{delete_options, dry_run, field_validation, patch_options, write_options};
pub use shape::{ShapeRules, shape};
