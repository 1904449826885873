//! Huffman decoding: a walk of a binary tree, one bit at a time.
//!
//! Servers send Huffman-coded strings only with the first response of a connection (later ones are
//! indexes), so simple is fast enough.

use std::sync::LazyLock;

use super::HpackError;
use super::huffman_codes::CODES;

/// Inner nodes of the tree. A child is another node's index, or `LEAF | octet`.
struct Tree(Vec<[u16; 2]>);

const LEAF: u16 = 0x8000;
const EMPTY: u16 = 0;
/// The padding at the end of a string is shorter than one octet.
const PADDING_BITS_MAX: u32 = 7;

static TREE: LazyLock<Tree> = LazyLock::new(|| {
    let mut nodes = vec![[EMPTY; 2]];
    for (octet, &(code, bits)) in (0u16..).zip(CODES.iter()) {
        let mut at = 0usize;
        for shift in (1..bits).rev() {
            let side = usize::from(code >> shift & 1 == 1);
            if nodes[at][side] == EMPTY {
                let fresh = u16::try_from(nodes.len()).expect("a tree of 257 codes has 256 nodes");
                nodes.push([EMPTY; 2]);
                nodes[at][side] = fresh;
            }
            at = usize::from(nodes[at][side]);
        }
        nodes[at][usize::from(code & 1 == 1)] = LEAF | octet;
    }
    Tree(nodes)
});

/// Appends the decoded string to `out`.
///
/// # Errors
/// `HpackError::Huffman` if the input holds the end-of-string code or wrong padding.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    let tree = &TREE.0;
    let mut at = 0usize;
    let (mut pending_bits, mut pending_ones) = (0u32, true);
    for &octet in input {
        for shift in (0..8).rev() {
            let bit = usize::from(octet >> shift & 1 == 1);
            pending_bits += 1;
            pending_ones &= bit == 1;
            let next = tree[at][bit];
            if next & LEAF != 0 {
                out.push((next & 0xff) as u8);
                (at, pending_bits, pending_ones) = (0, 0, true);
            } else if next == EMPTY {
                return Err(HpackError::Huffman);
            } else {
                at = usize::from(next);
            }
        }
    }
    if pending_bits > PADDING_BITS_MAX || !pending_ones {
        return Err(HpackError::Huffman);
    }
    Ok(())
}
