//! Field selectors: `metadata.name=x,status.phase!=Running`.

use super::SelectorError;
use crate::limits::SELECTOR_BYTES_MAX;
use std::fmt;
use std::str::FromStr;

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldTerm {
    /// The field's path, such as `spec.nodeName`.
    pub field: String,
    /// The value, unescaped.
    pub value: String,
    /// Whether the field must have the value; otherwise it must not.
    pub equal: bool,
}

/// Conditions on fields that must all hold; without conditions it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

impl FieldSelector {
    /// Parses a selector. Which fields a kind can select by is for the caller to check.
    pub fn parse(selector: &str) -> Result<FieldSelector, SelectorError> {
        if selector.len() > SELECTOR_BYTES_MAX {
            let message = format!("selector is longer than {SELECTOR_BYTES_MAX} bytes");
            return Err(SelectorError::new(message));
        }
        let mut parts = split_terms(selector);
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let Some((field, value, equal)) = split_term(part) else {
                return Err(SelectorError::new(format!(
                    "invalid selector: '{selector}'; can't understand '{part}'"
                )));
            };
            let value = unescape_value(value)?;
            if field.is_empty() && value.is_empty() {
                continue; // Upstream takes a lone `=` or `!=` for no condition.
            }
            terms.push(FieldTerm {
                field: field.to_owned(),
                value,
                equal,
            });
        }
        Ok(FieldSelector { terms })
    }

    /// The one condition `field=value`.
    pub fn one(field: &str, value: &str) -> FieldSelector {
        FieldSelector {
            terms: vec![FieldTerm {
                field: field.to_owned(),
                value: value.to_owned(),
                equal: true,
            }],
        }
    }

    /// The conditions.
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// Whether everything matches.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether the fields that `lookup` finds match; an absent field is empty.
    pub fn matches_with<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.terms
            .iter()
            .all(|term| (lookup(&term.field).unwrap_or_default() == term.value) == term.equal)
    }

    /// The one value a field must have, if the selector asks for one.
    pub fn requires_exactly(&self, field: &str) -> Option<&str> {
        let term = self.terms.iter().find(|t| t.equal && t.field == field)?;
        Some(&term.value)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let sign = if term.equal { "=" } else { "!=" };
            write!(
                f,
                "{comma}{}{sign}{}",
                term.field,
                escape_value(&term.value)
            )?;
        }
        Ok(())
    }
}

impl FromStr for FieldSelector {
    type Err = SelectorError;
    fn from_str(selector: &str) -> Result<FieldSelector, SelectorError> {
        FieldSelector::parse(selector)
    }
}

/// Escapes backslash, comma and equals sign.
pub fn escape_value(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | ',' | '=') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn unescape_value(value: &str) -> Result<String, SelectorError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                other => {
                    let sequence = other.map(String::from).unwrap_or_default();
                    return Err(SelectorError::new(format!(
                        "invalid field selector: invalid escape sequence: \\{sequence}"
                    )));
                }
            },
            // Upstream prints the character's number.
            ',' | '=' => {
                return Err(SelectorError::new(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(c)
                )));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Splits at commas that no backslash precedes.
fn split_terms(selector: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (i, c) in selector.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&selector[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(&selector[start..]);
    terms
}

/// Field, value and whether they must be equal.
fn split_term(term: &str) -> Option<(&str, &str, bool)> {
    for (i, _) in term.char_indices() {
        let rest = &term[i..];
        for (sign, equal) in [("!=", false), ("==", true), ("=", true)] {
            if let Some(value) = rest.strip_prefix(sign) {
                return Some((&term[..i], value, equal));
            }
        }
    }
    None
}
