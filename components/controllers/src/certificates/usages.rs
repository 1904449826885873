//! What a certificate may be used for, by the names that the API has for it.

use mainstay_auth::der::{TAG_BIT_STRING, TAG_OID, TAG_SEQUENCE, element};

/// Bits of the extension keyUsage by name, counted from the first.
const KEY_USAGES: [(&str, u8); 10] = [
    ("signing", 0),
    ("digital signature", 0),
    ("content commitment", 1),
    ("key encipherment", 2),
    ("data encipherment", 3),
    ("key agreement", 4),
    ("cert sign", 5),
    ("crl sign", 6),
    ("encipher only", 7),
    ("decipher only", 8),
];

/// Object identifiers of the extension extKeyUsage by name, in the order in which they are written.
const EXTENDED: [(&str, &[u8]); 13] = [
    ("any", &[0x55, 0x1d, 0x25, 0x00]),
    (
        "server auth",
        &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01],
    ),
    (
        "client auth",
        &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02],
    ),
    (
        "code signing",
        &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03],
    ),
    (
        "email protection",
        &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x04],
    ),
    ("s/mime", &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x04]),
    (
        "ipsec end system",
        &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x05],
    ),
    (
        "ipsec tunnel",
        &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x06],
    ),
    (
        "ipsec user",
        &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x07],
    ),
    (
        "timestamping",
        &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08],
    ),
    (
        "ocsp signing",
        &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09],
    ),
    (
        "microsoft sgc",
        &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x0a, 0x03, 0x03],
    ),
    (
        "netscape sgc",
        &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x04, 0x01],
    ),
];

/// Both extensions' values (DER); `None` for one that would be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Usages {
    pub(super) key: Option<Vec<u8>>,
    pub(super) extended: Option<Vec<u8>>,
}

impl Usages {
    /// An error names what is no usage.
    pub(super) fn of(names: &[String]) -> Result<Self, String> {
        let known = |name: &str| {
            KEY_USAGES.iter().any(|(own, _)| *own == name)
                || EXTENDED.iter().any(|(own, _)| *own == name)
        };
        let unknown: Vec<&String> = names.iter().filter(|name| !known(name)).collect();
        if !unknown.is_empty() {
            let quoted: Vec<String> = unknown.iter().map(|name| format!("{name:?}")).collect();
            return Err(format!("unrecognized usage values: [{}]", quoted.join(" ")));
        }
        let asked = |own: &str| names.iter().any(|name| name == own);
        let bits = KEY_USAGES.iter().filter(|(name, _)| asked(name));
        let bits = bits.fold(0_u16, |bits, (_, bit)| bits | 0x8000 >> bit);
        let mut oids: Vec<&[u8]> = Vec::new();
        for (name, oid) in EXTENDED {
            if asked(name) && oids.last() != Some(&oid) {
                oids.push(oid);
            }
        }
        let oids: Vec<Vec<u8>> = oids.iter().map(|oid| element(TAG_OID, &[oid])).collect();
        Ok(Self {
            key: (bits != 0).then(|| bit_string(bits)),
            extended: (!oids.is_empty()).then(|| {
                let parts: Vec<&[u8]> = oids.iter().map(Vec::as_slice).collect();
                element(TAG_SEQUENCE, &parts)
            }),
        })
    }
}

/// Without the zeros at the end.
fn bit_string(bits: u16) -> Vec<u8> {
    let bytes = bits.to_be_bytes();
    let used = if bytes[1] == 0 {
        &bytes[..1]
    } else {
        &bytes[..]
    };
    let unused = used.last().map_or(0, |last| last.trailing_zeros());
    let unused = u8::try_from(unused).unwrap_or(0);
    element(TAG_BIT_STRING, &[&[unused], used])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usages(names: &[&str]) -> Result<Usages, String> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Usages::of(&names)
    }

    #[test]
    fn names_become_bits_and_identifiers() {
        let serving = usages(&["digital signature", "key encipherment", "server auth"]);
        let serving = serving.expect("known");
        assert_eq!(serving.key, Some(vec![3, 2, 5, 0xa0]));
        let oid = [6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1];
        assert_eq!(serving.extended, Some([&[0x30, 10][..], &oid].concat()));
        let rare = usages(&["decipher only", "signing"]).expect("known");
        assert_eq!(rare.key, Some(vec![3, 3, 7, 0x80, 0x80]));
        assert_eq!(usages(&[]), Ok(Usages::default()));
        // Two names of one thing are written once.
        let mail = usages(&["s/mime", "email protection"]).expect("known");
        assert_eq!(mail.extended.map(|der| der.len()), Some(12));
        let error = "unrecognized usage values: [\"x\" \"y\"]";
        assert_eq!(usages(&["x", "any", "y"]), Err(error.to_owned()));
    }
}
