//! YAML to a `Value`, noting keys that occur twice.

use super::error::DecodeError;
use super::json::Parsed;
use super::yaml_scalar::{number, plain};
use crate::gofmt::quote;
use crate::limits::{DEPTH_MAX, STRICT_ERRORS_MAX, YAML_NODES_MAX, YAML_TEXT_BYTES_MAX};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Parses one YAML document (JSON is YAML too). Duplicates are messages as Go's library words them. A second document
/// with content is refused: a request carries one object. Aliases are expanded within [`YAML_NODES_MAX`] nodes and
/// [`YAML_TEXT_BYTES_MAX`] bytes.
pub fn yaml(bytes: &[u8]) -> Result<Parsed, DecodeError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| DecodeError::new("yaml: invalid leading UTF-8 octet"))?;
    let mut loader = Loader {
        // Said, because the default depends on features that any other crate of the build may ask for.
        parser: Parser::with_options(
            StrInput::new(text),
            granit_parser::options! { emit_comments: false },
        ),
        anchors: HashMap::new(),
        duplicates: Vec::new(),
        nodes: 0,
        text_bytes: 0,
    };
    let value = loader.stream()?;
    let duplicates = if loader.duplicates.is_empty() {
        Vec::new()
    } else {
        let lines = loader.duplicates.join("\n");
        vec![format!("yaml: unmarshal errors:\n{lines}")]
    };
    Ok(Parsed { value, duplicates })
}

struct Loader<'i> {
    parser: Parser<'i, StrInput<'i>>,
    /// Anchored values with their size in nodes and bytes of text.
    anchors: HashMap<usize, (Value, usize, usize)>,
    duplicates: Vec<String>,
    nodes: usize,
    text_bytes: usize,
}

fn syntax(error: &ScanError) -> DecodeError {
    DecodeError::new(format!(
        "yaml: line {}: {}",
        error.marker().line(),
        error.info()
    ))
}

fn at_line(span: &Span, message: &str) -> DecodeError {
    DecodeError::new(format!("yaml: line {}: {message}", span.start.line()))
}

impl<'i> Loader<'i> {
    fn next(&mut self) -> Result<(Event<'i>, Span), DecodeError> {
        self.parser
            .next_event()
            .ok_or_else(|| DecodeError::new("yaml: unexpected end of stream"))?
            .map_err(|e| syntax(&e))
    }

    /// The first document; null where there is none.
    fn stream(&mut self) -> Result<Value, DecodeError> {
        let mut first = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => return Ok(first.unwrap_or(Value::Null)),
                Event::DocumentStart(..) => {
                    self.anchors.clear();
                    let (event, span) = self.next()?;
                    let value = self.node(event, &span, 0)?;
                    match first {
                        None => first = Some(value),
                        Some(_) if value.is_null() => {}
                        // An empty document before the first, as a leading comment block leaves it.
                        Some(Value::Null) => first = Some(value),
                        Some(_) => {
                            return Err(at_line(&span, "a request must hold one document only"));
                        }
                    }
                }
                _ => return Err(at_line(&span, "did not find expected <document start>")),
            }
        }
    }

    fn count(&mut self, nodes: usize, text_bytes: usize) -> Result<(), DecodeError> {
        self.nodes += nodes;
        self.text_bytes += text_bytes;
        if self.nodes > YAML_NODES_MAX || self.text_bytes > YAML_TEXT_BYTES_MAX {
            return Err(DecodeError::new(
                "yaml: document contains excessive aliasing",
            ));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'i>, span: &Span, depth: usize) -> Result<Value, DecodeError> {
        if depth > DEPTH_MAX {
            return Err(DecodeError::new("yaml: exceeded max depth"));
        }
        let (nodes, text_bytes) = (self.nodes, self.text_bytes);
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, text.len())?;
                (scalar(&text, style, tag.as_deref(), span)?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.count(1, 0)?;
                (self.sequence(depth)?, anchor)
            }
            Event::MappingStart(_, anchor, _) => {
                self.count(1, 0)?;
                (self.mapping(depth)?, anchor)
            }
            Event::Alias(id) => {
                let (value, nodes, text_bytes) = match self.anchors.get(&id) {
                    Some((value, nodes, text_bytes)) => (value, *nodes, *text_bytes),
                    None => return Err(at_line(span, "anchor contains itself")),
                };
                if nodes + self.nodes > YAML_NODES_MAX
                    || text_bytes + self.text_bytes > YAML_TEXT_BYTES_MAX
                {
                    return Err(DecodeError::new(
                        "yaml: document contains excessive aliasing",
                    ));
                }
                let value = value.clone();
                self.count(nodes, text_bytes)?;
                return Ok(value);
            }
            _ => return Err(at_line(span, "did not find expected node content")),
        };
        if anchor != 0 {
            let size = (self.nodes - nodes, self.text_bytes - text_bytes);
            self.count(size.0, size.1)?;
            self.anchors.insert(anchor, (value.clone(), size.0, size.1));
        }
        Ok(value)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Value::Array(items));
            }
            items.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let mut map = Map::new();
        let mut merged: Vec<Value> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, &span, depth + 1)?;
            let (event, value_span) = self.next()?;
            let value = self.node(event, &value_span, depth + 1)?;
            if merge {
                merged.push(value);
                continue;
            }
            let key = key_text(key, &span)?;
            if map.contains_key(&key) {
                self.note_duplicate(&key, &span);
            }
            map.insert(key, value);
        }
        for value in merged {
            merge_into(&mut map, value)?;
        }
        Ok(Value::Object(map))
    }

    fn note_duplicate(&mut self, key: &str, span: &Span) {
        if self.duplicates.len() < STRICT_ERRORS_MAX {
            let line = span.start.line();
            let message = format!("  line {line}: key {} already set in map", quote(key));
            self.duplicates.push(message);
        }
    }
}

/// `<<`: entries of another map, or of several, that the map does not have itself.
fn merge_into(map: &mut Map<String, Value>, value: Value) -> Result<(), DecodeError> {
    match value {
        Value::Object(other) => {
            for (key, value) in other {
                map.entry(key).or_insert(value);
            }
            Ok(())
        }
        Value::Array(items) => items.into_iter().try_for_each(|item| match item {
            Value::Object(_) => merge_into(map, item),
            _ => Err(DecodeError::new(
                "yaml: map merge requires map or sequence of maps as the value",
            )),
        }),
        _ => Err(DecodeError::new(
            "yaml: map merge requires map or sequence of maps as the value",
        )),
    }
}

fn key_text(key: Value, span: &Span) -> Result<String, DecodeError> {
    Ok(match key {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Null => "null".to_owned(),
        Value::Array(_) | Value::Object(_) => {
            return Err(at_line(span, "invalid map key"));
        }
    })
}

/// Numbers of YAML that JSON has no form for, as Go names them.
fn no_json(text: &str) -> Option<&'static str> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Some("+Inf"),
        "-.inf" | "-.Inf" | "-.INF" => Some("-Inf"),
        ".nan" | ".NaN" | ".NAN" => Some("NaN"),
        _ => None,
    }
}

fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: &Span,
) -> Result<Value, DecodeError> {
    let core = tag.and_then(|tag| tag.core_suffix());
    let wrong = |kind: &str| at_line(span, &format!("cannot decode {} as a {kind}", quote(text)));
    match core {
        Some("str") => Ok(Value::String(text.to_owned())),
        Some("int" | "float") => number(text)
            .map(Value::Number)
            .ok_or_else(|| wrong("!!float")),
        Some("bool") => Some(plain(text))
            .filter(Value::is_boolean)
            .ok_or_else(|| wrong("!!bool")),
        Some("null") => Ok(Value::Null),
        _ if style == ScalarStyle::Plain && tag.is_none() => match no_json(text) {
            Some(name) => Err(DecodeError::new(format!("json: unsupported value: {name}"))),
            None => Ok(plain(text)),
        },
        _ => Ok(Value::String(text.to_owned())),
    }
}
