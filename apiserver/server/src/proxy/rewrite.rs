//! Links in answers that are passed on: those to the server behind lead by way of this one.

use super::location::cleaned;

/// What links are judged by.
#[derive(Clone, Debug)]
pub(super) struct Links {
    /// The path here under which the other server is found.
    pub(super) prefix: String,
    /// The other server, as this one calls it.
    pub(super) behind: String,
    /// This server, as the client calls it.
    pub(super) here: String,
}

/// A URL's parts, each with its own mark.
struct Parts<'a> {
    scheme: &'a str,
    host: &'a str,
    path: &'a str,
    /// Query and fragment.
    rest: &'a str,
}

impl Links {
    /// A link as it is to be seen here. Unchanged if it leads elsewhere or is relative.
    pub(super) fn rewrite(&self, link: &str) -> String {
        let Some(parts) = parse(link) else {
            return link.to_owned();
        };
        let elsewhere =
            !parts.host.is_empty() && parts.host != self.behind && parts.host != self.here;
        if elsewhere || !parts.path.starts_with('/') {
            return link.to_owned();
        }
        let origin = match parts.host == self.here && !parts.host.is_empty() {
            true if parts.scheme.is_empty() => format!("//{}", parts.host),
            true => format!("{}://{}", parts.scheme, parts.host),
            false => String::new(),
        };
        let path = match parts.path.starts_with(&self.prefix) {
            true => parts.path.to_owned(),
            false => {
                let whole = format!("{}{}", self.prefix, parts.path);
                cleaned(&whole, parts.path.ends_with('/'))
            }
        };
        format!("{origin}{path}{}", parts.rest)
    }
}

/// None for what has no path: `mailto:`, `data:` and the like.
fn parse(link: &str) -> Option<Parts<'_>> {
    let end = link.find(['?', '#']).unwrap_or(link.len());
    let (before, rest) = link.split_at(end);
    let colon = before.find(':');
    let slash = before.find('/').unwrap_or(before.len());
    let (scheme, after) = match colon.filter(|colon| *colon < slash) {
        None => ("", before),
        Some(colon) => (&before[..colon], &before[colon + 1..]),
    };
    let (host, path) = match after.strip_prefix("//") {
        None if !scheme.is_empty() => return None,
        None => ("", after),
        Some(after) => after.split_at(after.find('/').unwrap_or(after.len())),
    };
    Some(Parts {
        scheme,
        host,
        path,
        rest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_the_server_behind_lead_by_way_of_this_one() {
        let links = Links {
            prefix: "/api/v1/namespaces/a/pods/b/proxy".to_owned(),
            behind: "10.0.0.9:80".to_owned(),
            here: "127.0.0.1:8001".to_owned(),
        };
        let cases = [
            ("/x?y#z", "/api/v1/namespaces/a/pods/b/proxy/x?y#z"),
            ("/x/", "/api/v1/namespaces/a/pods/b/proxy/x/"),
            ("/", "/api/v1/namespaces/a/pods/b/proxy/"),
            (
                "http://10.0.0.9:80/x",
                "/api/v1/namespaces/a/pods/b/proxy/x",
            ),
            (
                "http://127.0.0.1:8001/x",
                "http://127.0.0.1:8001/api/v1/namespaces/a/pods/b/proxy/x",
            ),
            (
                "/api/v1/namespaces/a/pods/b/proxy/x",
                "/api/v1/namespaces/a/pods/b/proxy/x",
            ),
            ("x/y", "x/y"),
            ("?q=/x", "?q=/x"),
            ("#top", "#top"),
            ("https://elsewhere/x", "https://elsewhere/x"),
            ("//elsewhere/x", "//elsewhere/x"),
            ("mailto:a@b", "mailto:a@b"),
            ("http://10.0.0.9:80", "http://10.0.0.9:80"),
            ("", ""),
        ];
        for (link, expected) in cases {
            assert_eq!(links.rewrite(link), expected, "{link}");
        }
    }
}
