//! A place of an object with its path: what rules look at and report about.

use crate::value;
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::quantity::Quantity;
use mainstay_machinery::validate::{self, NameRule};
use serde_json::Value;

static NULL: Value = Value::Null;

/// A value, null where there is none, and the path errors name it by.
#[derive(Clone, Debug)]
pub(super) struct Place<'v> {
    pub(super) value: &'v Value,
    pub(super) path: Path,
}

pub(super) const NOT_POSITIVE: &str = "must be greater than zero";

impl<'v> Place<'v> {
    /// A field of the object itself.
    pub(super) fn top(object: &'v Value, name: &'static str) -> Place<'v> {
        Place {
            value: object.get(name).unwrap_or(&NULL),
            path: Path::new(name),
        }
    }

    pub(super) fn new(value: Option<&'v Value>, path: Path) -> Place<'v> {
        Place {
            value: value.unwrap_or(&NULL),
            path,
        }
    }

    /// The field under a dotted path of names.
    pub(super) fn at(&self, names: &'static str) -> Place<'v> {
        let mut here = self.clone();
        for name in names.split('.') {
            let value = here.value.get(name).unwrap_or(&NULL);
            here = Place {
                value,
                path: here.path.child(name),
            };
        }
        here
    }

    /// The items of a list with their index in the path.
    pub(super) fn items(&self) -> impl Iterator<Item = Place<'v>> + use<'v> {
        let path = self.path.clone();
        let items = value::list(self.value, "").iter().enumerate();
        items.map(move |(index, value)| Place {
            value,
            path: path.index(index),
        })
    }

    /// The entries of a map with their key in the path.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'v str, Place<'v>)> + use<'v> {
        let path = self.path.clone();
        value::entries(self.value, "").map(move |(key, value)| {
            (
                key.as_str(),
                Place {
                    value,
                    path: path.key(key),
                },
            )
        })
    }

    pub(super) fn text(&self) -> &'v str {
        self.value.as_str().unwrap_or("")
    }

    pub(super) fn number(&self) -> Option<i64> {
        self.value.as_i64()
    }

    pub(super) fn int(&self) -> i64 {
        self.number().unwrap_or(0)
    }

    pub(super) fn flag(&self) -> bool {
        self.value.as_bool().unwrap_or(false)
    }

    pub(super) fn quantity(&self) -> Option<Quantity> {
        Quantity::from_value(self.value).ok()
    }

    pub(super) fn len(&self) -> usize {
        self.value.as_array().map_or(0, Vec::len)
            + self.value.as_object().map_or(0, |map| map.len())
    }

    /// Whether the field is there: a pointer that is not nil.
    pub(super) fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    pub(super) fn is_empty(&self) -> bool {
        value::is_empty(Some(self.value))
    }

    pub(super) fn equals(&self, other: &Place<'_>) -> bool {
        value::same(
            Some(self.value).filter(|value| !value.is_null()),
            Some(other.value).filter(|value| !value.is_null()),
        )
    }

    pub(super) fn required(&self, detail: &str, errors: &mut ErrorList) {
        errors.push(Error::required(&self.path, detail));
    }

    pub(super) fn invalid(&self, detail: impl Into<String>, errors: &mut ErrorList) {
        errors.push(Error::invalid(&self.path, self.value.clone(), detail));
    }

    pub(super) fn forbidden(&self, detail: impl Into<String>, errors: &mut ErrorList) {
        errors.push(Error::forbidden(&self.path, detail));
    }

    pub(super) fn duplicate(&self, errors: &mut ErrorList) {
        errors.push(Error::duplicate(&self.path, self.value.clone()));
    }

    pub(super) fn not_found(&self, errors: &mut ErrorList) {
        errors.push(Error::not_found(&self.path, self.value.clone()));
    }

    /// One error of this value for every message. It is a text: one that is not there is an empty one.
    pub(super) fn messages(&self, messages: Vec<String>, errors: &mut ErrorList) {
        self.messages_of(Value::from(""), messages, errors);
    }

    /// The same with what stands for a value that is not there.
    fn messages_of(&self, absent: Value, messages: Vec<String>, errors: &mut ErrorList) {
        let value = match self.value {
            Value::Null => &absent,
            value => value,
        };
        for message in messages {
            errors.push(Error::invalid(&self.path, value.clone(), message));
        }
    }

    pub(super) fn named(&self, rule: NameRule, errors: &mut ErrorList) {
        self.messages(rule(self.text(), false), errors);
    }

    pub(super) fn dns_label(&self, errors: &mut ErrorList) {
        self.messages(validate::dns1123_label(self.text()), errors);
    }

    pub(super) fn dns_subdomain(&self, errors: &mut ErrorList) {
        self.messages(validate::dns1123_subdomain(self.text()), errors);
    }

    pub(super) fn qualified_name(&self, errors: &mut ErrorList) {
        self.messages(validate::qualified_name(self.text()), errors);
    }

    /// Must be there and not empty.
    pub(super) fn must_be_set(&self, errors: &mut ErrorList) {
        if self.is_empty() {
            self.required("", errors);
        }
    }

    /// The text must be one of these, in upstream's order. Empty text is a missing value.
    pub(super) fn one_of(&self, known: &[&str], errors: &mut ErrorList) {
        if self.text().is_empty() {
            self.required("", errors);
        } else {
            self.supported(known, errors);
        }
    }

    /// As `one_of`, but the field may be absent.
    pub(super) fn optional_one_of(&self, known: &[&str], errors: &mut ErrorList) {
        if self.is_set() {
            self.supported(known, errors);
        }
    }

    /// The text, even if empty, must be one of these.
    pub(super) fn supported(&self, known: &[&str], errors: &mut ErrorList) {
        if !known.contains(&self.text()) {
            errors.push(Error::not_supported(&self.path, self.text(), known));
        }
    }

    pub(super) fn nonnegative(&self, errors: &mut ErrorList) {
        validate::nonnegative(self.int(), &self.path, errors);
    }

    pub(super) fn positive(&self, errors: &mut ErrorList) {
        if self.int() <= 0 {
            self.messages_of(Value::from(0), vec![NOT_POSITIVE.to_owned()], errors);
        }
    }

    /// A port number.
    pub(super) fn port(&self, errors: &mut ErrorList) {
        let messages = validate::port_number(self.int());
        self.messages_of(Value::from(0), messages, errors);
    }

    /// A port number, or the name of a port.
    pub(super) fn port_or_name(&self, errors: &mut ErrorList) {
        match self.value {
            Value::String(name) => self.messages(validate::port_name(name), errors),
            _ => self.port(errors),
        }
    }

    pub(super) fn labels(&self, errors: &mut ErrorList) {
        if let Some(labels) = self.value.as_object() {
            validate::labels(&self.path, labels, errors);
        }
    }

    pub(super) fn selector(&self, errors: &mut ErrorList) {
        if self.is_set() {
            validate::label_selector(&self.path, self.value, false, errors);
        }
    }

    /// An address, in any form old fields accept.
    pub(super) fn legacy_ip(&self, errors: &mut ErrorList) {
        errors.extend(validate::ip_legacy(&self.path, self.text()));
    }

    /// Must be as it was.
    pub(super) fn immutable(&self, old: &Place<'_>, errors: &mut ErrorList) {
        if !self.equals(old) {
            self.invalid(validate::FIELD_IMMUTABLE, errors);
        }
    }

    /// Relative, and not above where it starts.
    pub(super) fn descending_path(&self, errors: &mut ErrorList) {
        if self.text().starts_with('/') {
            self.invalid("must be a relative path", errors);
        }
        self.no_backsteps(errors);
    }

    pub(super) fn no_backsteps(&self, errors: &mut ErrorList) {
        if has_backsteps(self.text()) {
            self.invalid("must not contain '..'", errors);
        }
    }
}

pub(super) fn has_backsteps(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}
