//! Names as they are on the wire.

use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};

/// Bytes of the longest name, with the lengths of its labels and the root.
const NAME_MAX: usize = 255;
/// Bytes of the longest label.
const LABEL_MAX: usize = 63;

/// A full name: lengths and labels, and the root at its end. Names are the same whatever their case, and keep it.
#[derive(Clone)]
pub struct Name {
    bytes: Box<[u8]>,
}

impl Name {
    #[must_use]
    pub fn root() -> Self {
        Self {
            bytes: Box::new([0]),
        }
    }

    /// A name from labels with dots between them, with or without one at the end. None if a label is empty or too
    /// long, or all of them together are.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut bytes = Vec::with_capacity(text.len() + 2);
        if !text.is_empty() {
            for label in text.split('.') {
                push(&mut bytes, label.as_bytes())?;
            }
        }
        Self::ended(bytes)
    }

    /// Reads a name at `at`, which is moved behind it. Pointers lead backwards only, so that none is followed twice.
    pub(crate) fn read(message: &[u8], at: &mut usize) -> Option<Self> {
        let mut bytes = Vec::with_capacity(64);
        let mut from = *at;
        let mut begin = *at;
        let mut end = None;
        loop {
            let length = usize::from(*message.get(from)?);
            match length {
                0 => break,
                1..=LABEL_MAX => {
                    let label = message.get(from + 1..from + 1 + length)?;
                    push(&mut bytes, label)?;
                    from += 1 + length;
                }
                0xc0.. => {
                    let low = usize::from(*message.get(from + 1)?);
                    let to = (length & 0x3f) << 8 | low;
                    if to >= begin {
                        return None;
                    }
                    end.get_or_insert(from + 2);
                    (from, begin) = (to, to);
                }
                _ => return None,
            }
        }
        *at = end.unwrap_or(from + 1);
        Self::ended(bytes)
    }

    fn ended(mut bytes: Vec<u8>) -> Option<Self> {
        bytes.push(0);
        (bytes.len() <= NAME_MAX).then(|| Self {
            bytes: bytes.into_boxed_slice(),
        })
    }

    /// The name of `label` below this one; none if that is too long.
    #[must_use]
    pub fn below(&self, label: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(self.bytes.len() + label.len() + 1);
        push(&mut bytes, label.as_bytes())?;
        bytes.extend(&self.bytes[..]);
        (bytes.len() <= NAME_MAX).then(|| Self {
            bytes: bytes.into_boxed_slice(),
        })
    }

    #[must_use]
    pub fn is_root(&self) -> bool {
        self.bytes.len() == 1
    }

    /// From the first one to the last, without the root.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first()?;
            let (label, after) = after.split_at_checked(usize::from(*length))?;
            rest = after;
            (!label.is_empty()).then_some(label)
        })
    }

    /// As on the wire, without pointers.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[must_use]
    pub fn to_lowercase(&self) -> Self {
        // Lengths are no letters.
        Self {
            bytes: self.bytes.to_ascii_lowercase().into_boxed_slice(),
        }
    }
}

fn push(bytes: &mut Vec<u8>, label: &[u8]) -> Option<()> {
    let length = u8::try_from(label.len()).ok()?;
    if label.is_empty() || label.len() > LABEL_MAX || bytes.len() + label.len() + 2 > NAME_MAX {
        return None;
    }
    bytes.push(length);
    bytes.extend(label);
    Some(())
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.bytes.eq_ignore_ascii_case(&other.bytes)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in &self.bytes {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl Default for Name {
    fn default() -> Self {
        Self::root()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_char('.');
        }
        for label in self.labels() {
            for byte in label {
                match byte {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
                    0x21..=0x7e => f.write_char(char::from(*byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_char('.')?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_text_and_from_the_wire() {
        for text in [".", "a.", "www.Example.com.", "_http._tcp.web.default."] {
            let name = Name::from_text(text).expect("it is a name");
            assert_eq!(name.to_string(), text);
            let mut at = 0;
            let read = Name::read(name.as_bytes(), &mut at).expect("it is a name");
            assert_eq!(
                (read.to_string().as_str(), at),
                (text, name.as_bytes().len())
            );
        }
        let long = "a".repeat(64);
        let many = "a.".repeat(128);
        for text in ["a..b", ".a", &long, &many] {
            assert!(Name::from_text(text).is_none(), "{text}");
        }
        let longest = "a.".repeat(127);
        assert_eq!(
            Name::from_text(&longest).map(|n| n.as_bytes().len()),
            Some(255)
        );
    }

    #[test]
    fn pointers_lead_backwards_only() {
        // com. at 0, www.com. at 5, another pointer to that at 11.
        let message = [
            3, b'c', b'o', b'm', 0, 3, b'w', b'w', b'w', 0xc0, 0, 0xc0, 5, 0xc0, 13, 0xc0, 20,
        ];
        for (at, name, end) in [(0, "com.", 5), (5, "www.com.", 11), (11, "www.com.", 13)] {
            let mut here = at;
            let read = Name::read(&message, &mut here).expect("it is a name");
            assert_eq!((read.to_string().as_str(), here), (name, end));
        }
        for mut at in [13, 15, 16, 17] {
            assert!(Name::read(&message, &mut at).is_none());
        }
        for bad in [&[0x40, 1, 0][..], &[0x80, 0][..], &[5, b'a'][..], &[]] {
            assert!(Name::read(bad, &mut 0).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn case_makes_no_difference_and_odd_bytes_are_shown() {
        let (a, b) = (
            Name::from_text("A.b").expect("a name"),
            Name::from_text("a.B.").expect("a name"),
        );
        assert_eq!(a, b);
        assert_eq!(a.to_lowercase().to_string(), "a.b.");
        let odd = [3, b'.', 7, 0xff, 0];
        assert_eq!(
            Name::read(&odd, &mut 0).expect("a name").to_string(),
            "\\.\\007\\255."
        );
    }
}
