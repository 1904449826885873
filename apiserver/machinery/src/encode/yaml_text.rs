//! Strings in YAML: which style, and how it is folded.

use crate::decode::reads_as_plain_string;
use std::fmt::Write as _;

/// The column after which the Go emitter folds text at spaces.
const WIDTH: usize = 80;

/// Where the emitter is.
#[derive(Clone, Copy)]
pub(super) struct At {
    /// Columns already written in this line.
    pub(super) column: usize,
    /// Columns that folded lines are indented by.
    pub(super) indent: usize,
    /// A map's key, which is never folded.
    pub(super) key: bool,
}

/// Appends a string in the style the Go library chooses: literal for several lines, double-quoted where it would
/// read back as another type, else plain if it can be, else single-quoted.
pub(super) fn push_text(out: &mut String, text: &str, at: At) {
    if !text.chars().all(is_printable) {
        return push_double(out, text, at);
    }
    if text.contains('\n') {
        // Spaces at a line's end would be lost; a key is one line.
        let literal = !at.key && !text.ends_with(' ') && !text.contains(" \n");
        return if literal {
            push_literal(out, text, at.indent)
        } else {
            push_double(out, text, at)
        };
    }
    // As a key this sign would merge maps; the Go library does not mind.
    let merges = at.key && text == "<<";
    if merges || !reads_as_plain_string(text) {
        push_double(out, text, at);
    } else if is_plain(text) {
        push_folded(out, text, at, |out, c| out.push(c));
    } else {
        push_single(out, text, at);
    }
}

/// What the Go emitter writes as it is. Characters beyond the basic plane are escaped.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

/// Whether the text needs no quotes in block style.
fn is_plain(text: &str) -> bool {
    if text.is_empty() || text.starts_with(' ') || text.ends_with(' ') {
        return false;
    }
    if text.starts_with("---") || text.starts_with("...") {
        return false;
    }
    let chars: Vec<char> = text.chars().collect();
    let space_or_end = |i: usize| chars.get(i).is_none_or(|c| *c == ' ');
    let first_fits = match chars[0] {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
        | '@' | '`' => false,
        '?' | ':' | '-' => !space_or_end(1),
        _ => true,
    };
    first_fits
        && chars.iter().enumerate().skip(1).all(|(i, c)| match c {
            ':' => !space_or_end(i + 1),
            '#' => chars[i - 1] != ' ',
            _ => true,
        })
}

/// Writes text and breaks lines at spaces past the width.
fn push_folded(out: &mut String, text: &str, at: At, mut push: impl FnMut(&mut String, char)) {
    let chars: Vec<char> = text.chars().collect();
    let mut column = at.column;
    let mut after_space = false;
    for (i, c) in chars.iter().enumerate() {
        let inside = i > 0 && i + 1 < chars.len();
        let folds =
            *c == ' ' && !at.key && !after_space && column > WIDTH && inside && chars[i + 1] != ' ';
        if folds {
            push_break(out, at.indent);
            column = at.indent;
        } else {
            push(out, *c);
            column += 1;
        }
        after_space = *c == ' ';
    }
}

fn push_break(out: &mut String, indent: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

fn push_single(out: &mut String, text: &str, at: At) {
    out.push('\'');
    let inner = At {
        column: at.column + 1,
        ..at
    };
    push_folded(out, text, inner, |out, c| {
        out.push(c);
        if c == '\'' {
            out.push(c);
        }
    });
    out.push('\'');
}

fn push_literal(out: &mut String, text: &str, indent: usize) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    if !text.ends_with('\n') {
        out.push('-');
    } else if text.ends_with("\n\n") || text == "\n" {
        out.push('+');
    }
    let body = text.strip_suffix('\n').unwrap_or(text);
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
    }
}

fn push_double(out: &mut String, text: &str, at: At) {
    let chars: Vec<char> = text.chars().collect();
    let mut column = at.column + 1;
    let mut after_space = false;
    out.push('"');
    for (i, c) in chars.iter().enumerate() {
        let inside = i > 0 && i + 1 < chars.len();
        if *c == ' ' && !at.key && !after_space && column > WIDTH && inside {
            push_break(out, at.indent);
            column = at.indent;
            if chars[i + 1] == ' ' {
                out.push('\\');
                column += 1;
            }
            after_space = true;
            continue;
        }
        let before = out.len();
        push_escaped(out, *c);
        column += out[before..].chars().count();
        after_space = *c == ' ';
    }
    out.push('"');
}

fn push_escaped(out: &mut String, c: char) {
    let short = match c {
        '\0' => Some('0'),
        '\x07' => Some('a'),
        '\x08' => Some('b'),
        '\t' => Some('t'),
        '\n' => Some('n'),
        '\x0b' => Some('v'),
        '\x0c' => Some('f'),
        '\r' => Some('r'),
        '\x1b' => Some('e'),
        '"' => Some('"'),
        '\\' => Some('\\'),
        '\u{85}' => Some('N'),
        '\u{2028}' => Some('L'),
        '\u{2029}' => Some('P'),
        _ => None,
    };
    if let Some(short) = short {
        out.push('\\');
        out.push(short);
        return;
    }
    if is_printable(c) {
        out.push(c);
        return;
    }
    let code = u32::from(c);
    let result = match code {
        0..=0xff => write!(out, "\\x{code:02X}"),
        0x100..=0xffff => write!(out, "\\u{code:04X}"),
        _ => write!(out, "\\U{code:08X}"),
    };
    result.expect("writing to a String does not fail");
}
