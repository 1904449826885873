//! By what a person who joins knows the cluster's authority: kubeadm's `sha256:HEX` of its public key.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Error, Result, bail};
use sha2::{Digest as _, Sha256};

/// Of the DER form of the key with its algorithm, as in the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin([u8; 32]);

impl Pin {
    /// That of the first certificate.
    pub(crate) fn of(pem: &str) -> Result<Self> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes())
            .map_err(|_| Error::msg("the authority's certificate is not PEM"))?;
        let certificate = pem.parse_x509().context("the authority's certificate")?;
        Ok(Self(Sha256::digest(certificate.public_key().raw).into()))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Pin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some(hex) = text.strip_prefix("sha256:") else {
            bail!("{text:?} does not begin with sha256:");
        };
        let digits: Option<Vec<u8>> = hex
            .chars()
            .map(|digit| {
                digit
                    .to_digit(16)
                    .and_then(|value| u8::try_from(value).ok())
            })
            .collect();
        let bytes: Option<Vec<u8>> = digits.map(|digits| {
            let pairs = digits.chunks_exact(2);
            pairs.map(|pair| (pair[0] << 4) | pair[1]).collect()
        });
        let fits = bytes.filter(|_| hex.len() == 64);
        let bytes = fits.and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self)
            .with_context(|| format!("{text:?} is not sha256: and 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read_as_they_are_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = crate::pki::Authority::ensure(folder.path(), "ca", "kubernetes");
        let pem = authority.expect("made").pem().expect("there");
        let pin = Pin::of(&pem).expect("a pin");
        assert_eq!(pin.to_string().parse::<Pin>().expect("read"), pin);
        let upper = pin.to_string().to_uppercase().replace("SHA", "sha");
        assert_eq!(upper.parse::<Pin>().expect("read"), pin);
        for wrong in ["", "sha256:", "sha256:00", "md5:00", "sha256:é"] {
            assert!(wrong.parse::<Pin>().is_err(), "{wrong}");
        }
        assert!(Pin::of("nonsense").is_err());
    }
}
