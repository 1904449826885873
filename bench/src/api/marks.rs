//! What is looked for in answers without parsing them.

use memchr::memmem;

/// Where the time of a write is in an object.
const STAMP: &[u8] = b"\"at\":\"";
/// Digits of a time.
const STAMP_DIGITS: usize = 20;
const WHOLE: usize = STAMP.len() + STAMP_DIGITS;
/// Said by the bookmark behind the initial state of a watch.
const INITIAL_END: &[u8] = b"k8s.io/initial-events-end";

/// Finds marks in a stream that arrives in pieces.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// The last bytes of what came before, shorter than a mark.
    tail: Vec<u8>,
}

impl Marks {
    /// Calls `found` with every time in the stream that is complete now.
    pub(crate) fn stamps(&mut self, data: &[u8], mut found: impl FnMut(u64)) {
        self.each(data, WHOLE, |text| {
            let mut rest = text;
            while let Some(at) = memmem::find(rest, STAMP) {
                let Some(digits) = rest.get(at + STAMP.len()..at + WHOLE) else {
                    return;
                };
                if digits.iter().all(u8::is_ascii_digit) {
                    let value = digits.iter().fold(0u64, |n, digit| {
                        n.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
                    });
                    found(value);
                }
                rest = &rest[at + STAMP.len()..];
            }
        });
    }

    /// Whether the end of the initial state is complete now.
    pub(crate) fn initial_end(&mut self, data: &[u8]) -> bool {
        let mut seen = false;
        self.each(data, INITIAL_END.len(), |text| {
            seen |= memmem::find(text, INITIAL_END).is_some();
        });
        seen
    }

    /// Looks at the seam between what came before and `data`, then at `data`: a mark of `whole` bytes is in exactly one.
    fn each(&mut self, data: &[u8], whole: usize, mut look: impl FnMut(&[u8])) {
        if !self.tail.is_empty() {
            let seam = data.len().min(whole - 1);
            self.tail.extend_from_slice(&data[..seam]);
            look(&self.tail);
        }
        look(data);
        if data.len() >= whole - 1 {
            self.tail.clear();
            self.tail.extend_from_slice(&data[data.len() + 1 - whole..]);
        } else if self.tail.is_empty() {
            self.tail.extend_from_slice(data);
        } else {
            let drop = self.tail.len().saturating_sub(whole - 1);
            self.tail.drain(..drop);
        }
    }
}

/// The value of a text member in the beginning of an answer.
pub(crate) fn text_member(head: &[u8], name: &str) -> Option<String> {
    let key = format!("\"{name}\":\"");
    let at = memmem::find(head, key.as_bytes())? + key.len();
    let end = memchr::memchr(b'"', &head[at..])?;
    Some(String::from_utf8_lossy(&head[at..at + end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_found_once_however_the_stream_is_cut() {
        let text: String = (1..=20u64)
            .map(|n| format!("{{\"annotations\":{{\"at\":\"{n:020}\",\"b\":\"c\"}}}}\n"))
            .collect();
        for step in [1, 3, 24, 25, 26, 27, 40, 1000, 10_000] {
            let (mut marks, mut found) = (Marks::default(), Vec::new());
            for data in text.as_bytes().chunks(step) {
                marks.stamps(data, |n| found.push(n));
            }
            assert_eq!(found, (1..=20).collect::<Vec<u64>>(), "step {step}");
        }
    }

    #[test]
    fn the_end_of_the_initial_state_is_found() {
        let text = b"xx{\"k8s.io/initial-events-end\":\"true\"}";
        for step in [1, 5, 24, 25, 100] {
            let mut marks = Marks::default();
            let seen = text
                .chunks(step)
                .filter(|data| marks.initial_end(data))
                .count();
            assert_eq!(seen, 1, "step {step}");
        }
    }

    #[test]
    fn members_are_read_from_the_head() {
        let head = br#"{"metadata":{"resourceVersion":"17","continue":"abc"},"items":[{"x"#;
        assert_eq!(text_member(head, "resourceVersion").as_deref(), Some("17"));
        assert_eq!(text_member(head, "continue").as_deref(), Some("abc"));
        assert_eq!(text_member(head, "nothing"), None);
    }
}
