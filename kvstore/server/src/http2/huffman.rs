//! Decoding of HPACK's Huffman strings (RFC 7541, appendix B).
//!
//! The code is canonical, so the lengths alone define it. Decoding walks one code length at a time: strings that
//! repeat are indexed by the client after the first time, so this is not on the hot path.

use super::hpack::HpackError;

/// Code length in bits of every octet; the last entry is the end-of-string symbol.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11,
    10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8,
    15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5,
    6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
    23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21,
    23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25,
    26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26,
    28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const SHORTEST: usize = 5;
const LONGEST: usize = 30;
const END_OF_STRING: u16 = 256;

struct Tables {
    /// First code of each length.
    first: [u32; LONGEST + 1],
    /// Number of codes of each length.
    count: [u32; LONGEST + 1],
    /// Where the symbols of each length begin in `symbols`.
    offset: [u16; LONGEST + 1],
    symbols: [u16; 257],
}

const TABLES: Tables = build();

const fn build() -> Tables {
    let mut t = Tables {
        first: [0; LONGEST + 1],
        count: [0; LONGEST + 1],
        offset: [0; LONGEST + 1],
        symbols: [0; 257],
    };
    let mut code = 0u32;
    let mut next = 0usize;
    let mut len = SHORTEST;
    while len <= LONGEST {
        t.first[len] = code;
        t.offset[len] = next as u16;
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == len {
                t.symbols[next] = symbol as u16;
                next += 1;
                t.count[len] += 1;
            }
            symbol += 1;
        }
        code = (code + t.count[len]) << 1;
        len += 1;
    }
    t
}

/// Appends the decoded string to `out`.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    let mut bits: u64 = 0;
    let mut have = 0usize;
    for &byte in input {
        bits = (bits << 8) | u64::from(byte);
        have += 8;
        while let Some((symbol, len)) = symbol(bits, have) {
            if symbol == END_OF_STRING {
                return Err(HpackError::Huffman);
            }
            out.push(symbol as u8);
            have -= len;
            bits &= (1 << have) - 1;
        }
    }
    // What is left must be a prefix of the end-of-string code: fewer than eight ones.
    if have >= 8 || bits != (1 << have) - 1 {
        return Err(HpackError::Huffman);
    }
    Ok(())
}

fn symbol(bits: u64, have: usize) -> Option<(u16, usize)> {
    for len in SHORTEST..=LONGEST.min(have) {
        let code = (bits >> (have - len)) as u32;
        let relative = code.wrapping_sub(TABLES.first[len]);
        if relative < TABLES.count[len] {
            return Some((
                TABLES.symbols[TABLES.offset[len] as usize + relative as usize],
                len,
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(hex: &[u8]) -> Result<Vec<u8>, HpackError> {
        let mut out = Vec::new();
        decode(hex, &mut out).map(|()| out)
    }

    #[test]
    fn examples_of_the_standard() {
        let www = [
            0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
        ];
        assert_eq!(decoded(&www).unwrap(), b"www.example.com");
        assert_eq!(
            decoded(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).unwrap(),
            b"no-cache"
        );
        assert_eq!(decoded(&[]).unwrap(), b"");
    }

    #[test]
    fn bad_padding_and_end_of_string_are_refused() {
        assert!(decoded(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xb0]).is_err());
        assert!(decoded(&[0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(decoded(&[0xff]).is_err());
    }
}
