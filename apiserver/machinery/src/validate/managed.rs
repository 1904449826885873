//! `metadata.managedFields` as a client may send it.

use crate::field::{Error, ErrorList, Path};
use crate::gofmt::is_print;
use crate::limits::{FIELD_MANAGER_BYTES_MAX, SUBRESOURCE_BYTES_MAX};
use crate::meta;
use serde_json::Value;

pub(super) fn managed_fields(object: &Value, path: &Path, errors: &mut ErrorList) {
    for (i, entry) in meta::managed_fields(object).iter().enumerate() {
        let path = path.index(i);
        match entry["operation"].as_str().unwrap_or_default() {
            "" => errors.push(Error::required(
                &path.child("operation"),
                "must not be empty",
            )),
            "Apply" | "Update" => {}
            other => errors.push(Error::not_supported(
                &path.child("operation"),
                other,
                &["Apply", "Update"],
            )),
        }
        let fields_type = entry["fieldsType"].as_str().unwrap_or_default();
        if !fields_type.is_empty() && fields_type != "FieldsV1" {
            let path = path.child("fieldsType");
            errors.push(Error::invalid(&path, fields_type, "must be `FieldsV1`"));
        }
        let manager = entry["manager"].as_str().unwrap_or_default();
        field_manager(manager, &path.child("manager"), errors);
        let subresource = entry["subresource"].as_str().unwrap_or_default();
        if subresource.len() > SUBRESOURCE_BYTES_MAX {
            errors.push(Error::too_long(
                &path.child("subresource"),
                SUBRESOURCE_BYTES_MAX,
            ));
        }
    }
}

/// The name of a field manager: printable, at most 128 bytes.
pub fn field_manager(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.len() > FIELD_MANAGER_BYTES_MAX {
        errors.push(Error::too_long(path, FIELD_MANAGER_BYTES_MAX));
    }
    for (at, c) in name.char_indices().filter(|(_, c)| !is_print(*c)) {
        let code = u32::from(c);
        let detail = format!("invalid character U+{code:04X} (at position {at})");
        errors.push(Error::invalid(path, name, detail));
    }
}
