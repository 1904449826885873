//! What is wrong with malformed JSON, as Go says it.

use super::error::DecodeError;
use crate::gofmt::quote;

/// The error Go's scanner would report where serde_json stopped.
pub(super) fn describe(bytes: &[u8], error: &serde_json::Error) -> DecodeError {
    use serde_json::error::Category;
    let text = error.to_string();
    if text.starts_with("exceeded max depth") || text.starts_with("recursion limit") {
        return DecodeError::new("exceeded max depth");
    }
    if error.classify() == Category::Eof {
        // Go's scanner reads a space after the end, which ends a literal too early.
        return in_literal(bytes, ' ')
            .filter(|_| text.starts_with("EOF while parsing a value"))
            .unwrap_or_else(|| DecodeError::new("unexpected end of JSON input"));
    }
    let found = character_at(bytes, error.line(), error.column());
    if text.starts_with("expected ident") {
        let before = before(bytes, error.line(), error.column());
        if let Some(literal) = found.and_then(|c| in_literal(before, c)) {
            return literal;
        }
    }
    let context = if text.starts_with("trailing characters") {
        "after top-level value"
    } else if text.starts_with("key must be a string") {
        "looking for beginning of object key string"
    } else if text.starts_with("expected `:`") {
        "after object key"
    } else if text.starts_with("expected `,` or `}`") {
        "after object key:value pair"
    } else if text.starts_with("expected `,` or `]`") {
        "after array element"
    } else if text.starts_with("expected value") || text.starts_with("trailing comma") {
        "looking for beginning of value"
    } else if text.starts_with("control character") {
        "in string literal"
    } else if text.starts_with("invalid escape") {
        "in string escape code"
    } else if text.starts_with("invalid number") {
        "in numeric literal"
    } else {
        return DecodeError::new(format!("invalid JSON: {text}"));
    };
    match found {
        Some(c) => DecodeError::new(format!("invalid character {} {context}", quote_char(c))),
        None => DecodeError::new("unexpected end of JSON input"),
    }
}

/// `invalid character 'x' in literal true (expecting 'r')`, if the bytes end in the beginning of a literal.
fn in_literal(bytes: &[u8], found: char) -> Option<DecodeError> {
    let letters = bytes
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_lowercase())
        .count();
    let run = &bytes[bytes.len() - letters..];
    let literal = ["true", "false", "null"]
        .into_iter()
        .find(|l| !run.is_empty() && run.len() < l.len() && l.as_bytes().starts_with(run))?;
    let expected = char::from(literal.as_bytes()[run.len()]);
    Some(DecodeError::new(format!(
        "invalid character {} in literal {literal} (expecting '{expected}')",
        quote_char(found)
    )))
}

/// The line's bytes before a column.
fn before(bytes: &[u8], line: usize, column: usize) -> &[u8] {
    let line = bytes
        .split(|b| *b == b'\n')
        .nth(line.saturating_sub(1))
        .unwrap_or_default();
    &line[..column.saturating_sub(1).min(line.len())]
}

/// The character at a line and a byte column, both from 1.
fn character_at(bytes: &[u8], line: usize, column: usize) -> Option<char> {
    let line = bytes.split(|b| *b == b'\n').nth(line.checked_sub(1)?)?;
    let byte = *line.get(column.saturating_sub(1)).or(line.last())?;
    Some(char::from(byte))
}

/// A character in single quotes, as Go's scanner prints it.
fn quote_char(c: char) -> String {
    match c {
        '\'' => r"'\''".to_owned(),
        '"' => "'\"'".to_owned(),
        c => {
            let quoted = quote(&c.to_string());
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    }
}
