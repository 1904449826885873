//! Names of images, written out as containerd has them.

use std::fmt;
use std::str::FromStr;

/// A full name with a tag, as `docker.io/library/busybox:latest`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    name: String,
    tag: String,
}

/// A text that names no image.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the name of an image, as busybox:1.36 or example.com/team/web:v1")]
pub(crate) struct NotAReference(String);

impl FromStr for Reference {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        let bad = || NotAReference(text.to_owned());
        let last = text.rfind('/').map_or(0, |at| at + 1);
        let (path, tag) = match text[last..].find(':') {
            Some(at) => (&text[..last + at], &text[last + at + 1..]),
            None => (text, "latest"),
        };
        let (domain, rest) = match path.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, rest.to_owned())
            }
            Some(_) => ("docker.io", path.to_owned()),
            None => ("docker.io", format!("library/{path}")),
        };
        let is_part = |part: &str| {
            let mut bytes = part.bytes();
            let ends = |byte: Option<u8>| {
                byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            };
            ends(part.bytes().next())
                && ends(part.bytes().last())
                && bytes
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        };
        let is_tag = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let fine = rest.split('/').all(is_part)
            && !domain.is_empty()
            && domain
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".:-".contains(&b))
            && (1..=128).contains(&tag.len())
            && tag.bytes().all(is_tag)
            && !tag.starts_with(['.', '-']);
        if !fine || text.len() > 255 {
            return Err(bad());
        }
        Ok(Self {
            name: format!("{domain}/{rest}"),
            tag: tag.to_owned(),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_out() {
        for (text, full) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("team/web:v1", "docker.io/team/web:v1"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
            ("localhost/a/b:c", "localhost/a/b:c"),
        ] {
            let reference: Reference = text.parse().expect("it is a name");
            assert_eq!(reference.to_string(), full);
        }
        for bad in [
            "",
            "Busybox",
            "a:",
            "a:b c",
            "a//b",
            "/a",
            "a/",
            "a@sha256:1",
            "-a",
            "a:-b",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
