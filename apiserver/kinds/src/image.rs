//! References to container images, as far as kinds depend on them.

/// Whether a reference means the tag `latest`: by name, or by having neither tag nor digest.
/// A reference that is none (empty, upper-case path) means no tag.
pub(crate) fn tag_is_latest(reference: &str) -> bool {
    let (name, digest) = reference.split_once('@').unwrap_or((reference, ""));
    let path_start = name.rfind('/').map_or(0, |slash| slash + 1);
    let (repository, tag) = match name[path_start..].rfind(':') {
        Some(colon) => (&name[..path_start + colon], &name[path_start + colon + 1..]),
        None => (name, ""),
    };
    is_repository(repository)
        && match tag {
            "" => digest.is_empty(),
            tag => tag == "latest",
        }
}

/// Parts of lower-case letters, digits and separators; the first may be a host with port.
fn is_repository(name: &str) -> bool {
    let (host, path) = match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
        _ => ("", name),
    };
    let host_fits = host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    let part_fits = |part: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        part.bytes().next().is_some_and(plain)
            && part.bytes().next_back().is_some_and(plain)
            && part.bytes().all(|b| plain(b) || b"._-".contains(&b))
    };
    host_fits && path.split('/').all(part_fits)
}

#[cfg(test)]
mod tests {
    use super::tag_is_latest;

    #[test]
    fn latest_is_said_or_implied() {
        for (reference, latest) in [
            ("nginx", true),
            ("nginx:latest", true),
            ("nginx:1.27", false),
            ("library/nginx", true),
            ("registry:5000/nginx", true),
            ("registry:5000/nginx:1", false),
            ("nginx@sha256:0123", false),
            ("nginx:latest@sha256:0123", true),
            ("localhost/app", true),
            ("Nginx", false),
            ("Example.com/nginx", true),
            ("", false),
            ("a//b", false),
        ] {
            assert_eq!(tag_is_latest(reference), latest, "{reference:?}");
        }
    }
}
