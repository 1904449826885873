//! Links in pages, found as the page goes by. Only the tag that is not whole yet is held back.

use bytes::{Bytes, BytesMut};

use crate::limits::TAG_BYTES_MAX;

/// Attributes that are links, by their tags: upstream's choice.
const LINKS: [(&str, &[&str]); 25] = [
    ("a", &["href"]),
    ("applet", &["codebase"]),
    ("area", &["href"]),
    ("audio", &["src"]),
    ("base", &["href"]),
    ("blockquote", &["cite"]),
    ("body", &["background"]),
    ("button", &["formaction"]),
    ("command", &["icon"]),
    ("del", &["cite"]),
    ("embed", &["src"]),
    ("form", &["action"]),
    ("frame", &["longdesc", "src"]),
    ("head", &["profile"]),
    ("html", &["manifest"]),
    ("iframe", &["longdesc", "src"]),
    ("img", &["longdesc", "src", "usemap"]),
    ("input", &["src", "usemap", "formaction"]),
    ("ins", &["cite"]),
    ("link", &["href"]),
    ("object", &["classid", "codebase", "data", "usemap"]),
    ("q", &["cite"]),
    ("script", &["src"]),
    ("source", &["src"]),
    ("video", &["poster", "src"]),
];
/// What is inside of these is no markup.
const RAW: [&str; 4] = ["script", "style", "textarea", "title"];

/// A page on its way.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// The beginning of a tag or comment.
    held: BytesMut,
    /// The end of raw text that is waited for, such as `</script`.
    raw: Option<&'static str>,
}

impl Pages {
    /// The part of the page that is known by now, with its links rewritten.
    pub(super) fn next(&mut self, piece: &[u8], rewrite: &dyn Fn(&str) -> String) -> Bytes {
        self.held.extend_from_slice(piece);
        let mut out = BytesMut::with_capacity(self.held.len());
        loop {
            let start = match self.raw {
                Some(end) => find(&self.held, end.as_bytes()),
                None => self.held.iter().position(|byte| *byte == b'<'),
            };
            let Some(start) = start else {
                // The last bytes may be the beginning of what is looked for.
                let kept = self.raw.map_or(0, |end| end.len() - 1);
                let done = self.held.len().saturating_sub(kept);
                out.extend_from_slice(&self.held.split_to(done));
                break;
            };
            out.extend_from_slice(&self.held.split_to(start));
            let Some(end) = tag_end(&self.held) else {
                if self.held.len() > TAG_BYTES_MAX {
                    out.extend_from_slice(&self.held.split());
                }
                break;
            };
            let tag = self.held.split_to(end);
            self.raw = raw_end(&tag);
            match std::str::from_utf8(&tag) {
                Ok(text) => out.extend_from_slice(rewritten(text, rewrite).as_bytes()),
                Err(_) => out.extend_from_slice(&tag),
            }
        }
        out.freeze()
    }

    /// What is left when nothing more comes.
    pub(super) fn rest(&mut self) -> Bytes {
        self.held.split().freeze()
    }
}

/// Where `text`, in small letters, begins in any letters.
fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes
        .windows(text.len())
        .position(|window| window.eq_ignore_ascii_case(text))
}

/// The length of the tag or comment that these bytes begin with. None if its end is not there.
fn tag_end(bytes: &[u8]) -> Option<usize> {
    const COMMENT: &[u8] = b"<!--";
    if bytes.len() < COMMENT.len() && COMMENT.starts_with(bytes) {
        return None;
    }
    if bytes.starts_with(COMMENT) {
        let inside = &bytes[COMMENT.len()..];
        return find(inside, b"-->").map(|at| COMMENT.len() + at + 3);
    }
    let first = bytes.get(1)?;
    if !(first.is_ascii_alphabetic() || matches!(first, b'/' | b'!' | b'?')) {
        // A sign, not a tag.
        return Some(1);
    }
    let mut quote = None;
    for (at, byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

fn name(tag: &[u8]) -> String {
    let name = tag.iter().skip(1);
    let name = name.take_while(|byte| byte.is_ascii_alphanumeric());
    name.map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect()
}

fn raw_end(tag: &[u8]) -> Option<&'static str> {
    let name = name(tag);
    let raw = RAW.into_iter().find(|raw| *raw == name)?;
    Some(match raw {
        "script" => "</script",
        "style" => "</style",
        "textarea" => "</textarea",
        _ => "</title",
    })
}

/// A tag with its links rewritten; the same text if it has none.
fn rewritten(tag: &str, rewrite: &dyn Fn(&str) -> String) -> String {
    let name = name(tag.as_bytes());
    let known = LINKS.iter().find(|(own, _)| *own == name);
    let Some((_, attributes)) = known else {
        return tag.to_owned();
    };
    let mut out = String::with_capacity(tag.len());
    let mut rest = tag;
    // The name, then attributes as `KEY`, `KEY=VALUE`, `KEY="VALUE"`.
    while let Some(at) = rest.find('=') {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        let key = before[..at].trim_end();
        let key = key
            .rsplit(|c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\'' | '/'))
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let space = after.len() - after.trim_start().len();
        out.push_str(&after[..space]);
        let after = &after[space..];
        let (quote, value) = match after.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inside = &after[1..];
                (
                    Some(quote),
                    &inside[..inside.find(quote).unwrap_or(inside.len())],
                )
            }
            _ => {
                let ends = |c: char| c.is_ascii_whitespace() || c == '>';
                (None, &after[..after.find(ends).unwrap_or(after.len())])
            }
        };
        let opened = usize::from(quote.is_some());
        out.push_str(&after[..opened]);
        match attributes.contains(&key.as_str()) {
            true => out.push_str(&rewrite(value)),
            false => out.push_str(value),
        }
        rest = &after[opened + value.len()..];
        if quote.is_some() && !rest.is_empty() {
            out.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str, step: usize) -> String {
        let mut pages = Pages::default();
        let rewrite = |link: &str| format!("/p{link}");
        let mut out = Vec::new();
        for piece in text.as_bytes().chunks(step) {
            out.extend_from_slice(&pages.next(piece, &rewrite));
        }
        out.extend_from_slice(&pages.rest());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn links_are_found_however_the_page_is_cut() {
        let cases = [
            ("<a href=\"/x\">/x</a>", "<a href=\"/p/x\">/x</a>"),
            ("<A class=b HREF='/x' id=c>", "<A class=b HREF='/p/x' id=c>"),
            ("<a href=/x>", "<a href=/p/x>"),
            (
                "<img alt=\"a > b\" src = \"/i\"/>",
                "<img alt=\"a > b\" src = \"/p/i\"/>",
            ),
            ("<b href=\"/x\">", "<b href=\"/x\">"),
            ("1 < 2 <a href='/x'>", "1 < 2 <a href='/p/x'>"),
            ("<!-- <a href='/x'> --><a>", "<!-- <a href='/x'> --><a>"),
            (
                "<script src='/s'>'<a href=\"/x\">'</script><a href='/y'>",
                "<script src='/p/s'>'<a href=\"/x\">'</script><a href='/p/y'>",
            ),
            ("<a href=\"/x", "<a href=\"/x"),
            ("<", "<"),
            ("<a =>", "<a =>"),
            ("<a href=\"/ü\" title=ü>", "<a href=\"/p/ü\" title=ü>"),
        ];
        for (text, expected) in cases {
            for step in 1..=text.len() {
                assert_eq!(page(text, step), expected, "{step}");
            }
        }
    }

    #[test]
    fn a_tag_without_an_end_is_not_held_for_ever() {
        let mut pages = Pages::default();
        let text = format!("<a href=\"{}", "x".repeat(TAG_BYTES_MAX));
        let out = pages.next(text.as_bytes(), &|link: &str| link.to_owned());
        assert_eq!(out.len(), text.len());
    }
}
