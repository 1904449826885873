//! Random ids in the form of RFC 9562, version 4.

use rand::Rng as _;

/// A new uid of an object.
pub(crate) fn new() -> String {
    format(rand::rng().random())
}

/// Random bits as a version 4 UUID.
pub(crate) fn format(bits: u128) -> String {
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn version_and_variant_are_set() {
        assert_eq!(super::format(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(
            super::format(u128::MAX),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
    }
}
