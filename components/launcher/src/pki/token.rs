//! The token with which workers ask for their first certificate.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::cluster::Cluster;
use crate::files;

/// Characters of both parts, as the API wants them.
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const ID_CHARACTERS: usize = 6;
const SECRET_CHARACTERS: usize = 16;

/// Whether this can be the public part of a token.
pub(crate) fn is_token_id(text: &str) -> bool {
    fits(text, ID_CHARACTERS)
}

fn fits(part: &str, length: usize) -> bool {
    part.len() == length && part.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// As upstream has them: a public part, by which it is found, and a secret one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Token {
    /// Makes that of a cluster, if there is none. Not at the same time by several: each would make another one.
    pub(super) fn ensure(cluster: &Cluster) -> Result<()> {
        let path = place(cluster);
        if path.exists() {
            return Ok(());
        }
        let token = Self::random()?;
        files::write(&path, token.text().as_bytes(), 0o600)
    }

    /// That of a cluster. It counts only while the API has it.
    pub(crate) fn of(cluster: &Cluster) -> Result<Self> {
        let path = place(cluster);
        let text = files::read(&path)?;
        let token = Self::parse(text.trim());
        token.with_context(|| format!("{} has no token", path.display()))
    }

    /// A new one.
    pub(crate) fn random() -> Result<Self> {
        Ok(Self {
            id: random(ID_CHARACTERS)?,
            secret: random(SECRET_CHARACTERS)?,
        })
    }

    /// Reads one as bearers show it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.split_once('.')?;
        let fits = fits(id, ID_CHARACTERS) && fits(secret, SECRET_CHARACTERS);
        fits.then(|| Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// As bearers show it.
    pub(crate) fn text(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }
}

fn place(cluster: &Cluster) -> PathBuf {
    cluster.folders().pki().join("bootstrap-token")
}

fn random(characters: usize) -> Result<String> {
    let path = "/dev/urandom";
    let mut source = File::open(path).context(path)?;
    let mut text = String::new();
    while text.len() < characters {
        let mut byte = [0];
        source.read_exact(&mut byte).context(path)?;
        // Bytes beyond the last whole alphabet would make its first characters more frequent.
        let whole = 256 - 256 % ALPHABET.len();
        if usize::from(byte[0]) < whole {
            let character = ALPHABET[usize::from(byte[0]) % ALPHABET.len()];
            text.push(char::from(character));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_keeps_its_token() {
        let folder = tempfile::tempdir().expect("a folder");
        let subnet = "10.240.0.0/24".parse().expect("a net");
        let cluster = Cluster::new(folder.path(), subnet, 6_443, Vec::new());
        assert!(Token::of(&cluster).is_err(), "nobody has made one");
        Token::ensure(&cluster).expect("made");
        let token = Token::of(&cluster).expect("read");
        Token::ensure(&cluster).expect("kept");
        assert!(Token::of(&cluster).expect("read") == token);
        assert!(Token::parse(&token.text()) == Some(token));
        for wrong in ["", "abcdef", "abcdef.0123", "ABCDEF.0123456789abcdef"] {
            assert!(Token::parse(wrong).is_none(), "{wrong}");
        }
    }
}
