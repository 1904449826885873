//! Where the last lines of a file begin.

use std::io::{self, Read, Seek, SeekFrom};

/// Read at a time, from the end.
const BLOCK_BYTES: u64 = 16 * 1024;

/// The place in a file from where there are `lines` more ends of lines: what stands after the last of them, a line
/// that is not whole, does not count.
///
/// # Errors
/// If the file cannot be read.
pub fn tail_start(file: &mut (impl Read + Seek), lines: u64) -> io::Result<u64> {
    let mut right = file.seek(SeekFrom::End(0))?;
    let mut seen = 0;
    let mut block = Vec::new();
    while right > 0 {
        let left = right.saturating_sub(BLOCK_BYTES);
        file.seek(SeekFrom::Start(left))?;
        block.clear();
        (&mut *file).take(right - left).read_to_end(&mut block)?;
        for (index, _) in block
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n')
        {
            if seen == lines {
                return Ok(left + index as u64 + 1);
            }
            seen += 1;
        }
        right = left;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn the_last_lines_begin_where_they_do() {
        let start = |text: &str, lines| {
            tail_start(&mut Cursor::new(text.as_bytes()), lines).expect("read") as usize
        };
        for (text, lines, rest) in [
            ("", 3, ""),
            ("a\nb\nc\n", 0, ""),
            ("a\nb\nc\n", 1, "c\n"),
            ("a\nb\nc\n", 3, "a\nb\nc\n"),
            ("a\nb\nc\n", 9, "a\nb\nc\n"),
            ("a\nb\nhalf", 1, "b\nhalf"),
            ("a\nb\nhalf", 0, "half"),
            ("\n\n\n", 2, "\n\n"),
            ("no end", 1, "no end"),
        ] {
            assert_eq!(&text[start(text, lines)..], rest, "{lines} of {text:?}");
        }
        let long: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        for lines in [1_usize, 10, 1500, 4999, 5000] {
            let rest = &long[start(&long, lines as u64)..];
            assert_eq!(rest.lines().count(), lines);
            assert!(rest.starts_with("line "));
        }
    }
}
