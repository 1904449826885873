//! Names of objects. A kind chooses one [`NameRule`].

use super::content::{
    Messages, dns1035_label, dns1123_label, dns1123_subdomain, path_segment_name,
    path_segment_prefix,
};

/// What is wrong with a name; `prefix` says that characters will be appended (generateName).
pub type NameRule = fn(name: &str, prefix: bool) -> Messages;

/// A DNS subdomain, the rule of most kinds.
pub fn name_is_dns_subdomain(name: &str, prefix: bool) -> Messages {
    dns1123_subdomain(&mask_trailing_dash(name, prefix))
}

/// A DNS label: namespaces, services under the relaxed rule.
pub fn name_is_dns_label(name: &str, prefix: bool) -> Messages {
    dns1123_label(&mask_trailing_dash(name, prefix))
}

/// A DNS label that begins with a letter: services.
pub fn name_is_dns1035_label(name: &str, prefix: bool) -> Messages {
    dns1035_label(&mask_trailing_dash(name, prefix))
}

/// Anything that can stand in a URL path: RBAC.
pub fn name_is_path_segment(name: &str, prefix: bool) -> Messages {
    if prefix {
        path_segment_prefix(name)
    } else {
        path_segment_name(name)
    }
}

/// A dash may end a prefix, since characters follow. As upstream the last two characters are replaced by `a`, so the
/// one before the dash is not looked at here; the generated name is checked whole.
fn mask_trailing_dash(name: &str, prefix: bool) -> String {
    match name.strip_suffix('-') {
        Some(rest) if prefix && !rest.is_empty() => {
            let mut chars = rest.chars();
            chars.next_back();
            format!("{}a", chars.as_str())
        }
        _ => name.to_owned(),
    }
}
