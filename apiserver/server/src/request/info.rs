//! What a request is about, told by method and path alone.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

/// A request as authorization and the registry see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    /// The decoded path.
    pub(crate) path: String,
    /// The Kubernetes verb of a resource request, else the method in small letters.
    pub(crate) verb: &'static str,
    /// Whether it uses the deprecated paths of watches.
    pub(crate) by_prefix: bool,
    /// What it asks for, if it is under `/api/V` or `/apis/G/V`.
    pub(crate) target: Option<Target>,
}

/// What a resource request names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    /// Empty for cluster-scoped resources and for all namespaces.
    pub(crate) namespace: String,
    /// Empty for collections.
    pub(crate) name: String,
    /// What follows the subresource, as in `pods/NAME/proxy/REST`.
    pub(crate) rest: String,
}

/// A path that no Kubernetes path looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadPath;

impl Info {
    /// `watch` says whether the query asks for one; only collections are watched. The rules are those of
    /// upstream's request info.
    pub(crate) fn new(method: &Method, raw_path: &str, watch: bool) -> Result<Self, BadPath> {
        let path = decode(raw_path)?;
        let Some((mut target, by_prefix)) = target(&path) else {
            return Ok(Self {
                path,
                verb: small(method),
                ..Self::default()
            });
        };
        let collection = target.name.is_empty();
        let verb = match *method {
            // Whatever the method: only GET is served.
            _ if by_prefix => "watch",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if collection => "deletecollection",
            Method::DELETE => "delete",
            Method::GET | Method::HEAD if collection && watch => "watch",
            Method::GET | Method::HEAD if collection => "list",
            Method::GET | Method::HEAD => "get",
            _ => "",
        };
        // The object called namespace is in the namespace of its name.
        if target.resource == "namespaces" && !target.name.is_empty() {
            target.namespace = target.name.clone();
        }
        Ok(Self {
            path,
            verb,
            by_prefix,
            target: Some(target),
        })
    }

    /// Whether it may last as long as the client likes.
    pub(crate) fn is_long_running(&self) -> bool {
        let Some(target) = &self.target else {
            return false;
        };
        let streams = ["attach", "exec", "proxy", "log", "portforward"];
        self.verb == "watch" || streams.contains(&target.subresource.as_str())
    }

    /// Whether it only looks.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self.verb, "get" | "list" | "watch" | "head" | "options")
    }
}

fn small(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "",
    }
}

/// A path without its escapes. They are taken out before it is split, as upstream does.
fn decode(raw: &str) -> Result<String, BadPath> {
    let is_escape = |after: &str| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !raw.split('%').skip(1).all(is_escape) {
        return Err(BadPath);
    }
    let text = percent_decode_str(raw).decode_utf8();
    text.map(Cow::into_owned).map_err(|_| BadPath)
}

/// The target, and whether the deprecated prefix `watch` was used.
fn target(path: &str) -> Option<(Target, bool)> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, rest) = match parts.as_slice() {
        ["api", rest @ ..] => ("", rest),
        ["apis", group, rest @ ..] => (*group, rest),
        _ => return None,
    };
    let (version, mut rest) = rest.split_first()?;
    let by_prefix = rest.first() == Some(&"watch");
    if by_prefix {
        rest = &rest[1..];
    }
    let mut namespace = "";
    if let ["namespaces", named, after @ ..] = rest {
        match after {
            // Subresources of the namespace itself.
            [] | ["status" | "finalize", ..] => {}
            _ => {
                namespace = named;
                rest = after;
            }
        }
    }
    let at = |index: usize| rest.get(index).map(|part| (*part).to_owned());
    let target = Target {
        group: group.to_owned(),
        version: (*version).to_owned(),
        resource: at(0)?,
        subresource: at(2).unwrap_or_default(),
        namespace: namespace.to_owned(),
        name: at(1).unwrap_or_default(),
        rest: rest.get(3..).unwrap_or_default().join("/"),
    };
    Some((target, by_prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: Method, path: &str) -> String {
        let info = Info::new(&method, path, path.contains("?watch")).unwrap();
        match info.target {
            None => format!("{} {}", info.verb, info.path),
            Some(t) => format!(
                "{} {}/{} ns={} {}/{}/{} {}",
                info.verb,
                t.group,
                t.version,
                t.namespace,
                t.resource,
                t.name,
                t.subresource,
                t.rest
            ),
        }
    }

    #[test]
    fn paths_are_understood_as_upstream_does() {
        let cases = [
            (Method::GET, "/healthz", "get /healthz"),
            (Method::GET, "/api", "get /api"),
            (Method::GET, "/api/v1", "get /api/v1"),
            (Method::GET, "/apis/apps/v1", "get /apis/apps/v1"),
            (Method::GET, "/api/v1/pods", "list /v1 ns= pods// "),
            (
                Method::GET,
                "/api/v1/namespaces",
                "list /v1 ns= namespaces// ",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a",
                "get /v1 ns=a namespaces/a/ ",
            ),
            (
                Method::PUT,
                "/api/v1/namespaces/a/finalize",
                "update /v1 ns=a namespaces/a/finalize ",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a/pods",
                "list /v1 ns=a pods// ",
            ),
            (
                Method::DELETE,
                "/api/v1/namespaces/a/pods",
                "deletecollection /v1 ns=a pods// ",
            ),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/a/deployments/b/scale",
                "patch apps/v1 ns=a deployments/b/scale ",
            ),
            (
                Method::GET,
                "/api/v1/watch/namespaces/a/pods",
                "watch /v1 ns=a pods// ",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a/services/b/proxy/x/y",
                "get /v1 ns=a services/b/proxy x/y",
            ),
            (
                Method::POST,
                "/api/v1/namespaces/a/pods/b%2Fc/exec",
                "create /v1 ns=a pods/b/c exec",
            ),
        ];
        for (method, path, expected) in cases {
            assert_eq!(told(method, path), expected, "{path}");
        }
    }

    #[test]
    fn a_path_that_is_not_text_is_refused() {
        for path in [
            "/api/v1/%ff",
            "/api/v1/%",
            "/api/v1/%4",
            "/api/v1/%zz",
            "/%+1",
        ] {
            let info = Info::new(&Method::GET, path, false);
            assert_eq!(info, Err(BadPath), "{path}");
        }
    }

    #[test]
    fn only_collections_are_watched_by_query() {
        let info = Info::new(&Method::GET, "/api/v1/pods", true).unwrap();
        assert_eq!(info.verb, "watch");
        let info = Info::new(&Method::GET, "/api/v1/namespaces/a/pods/b", true).unwrap();
        assert_eq!(info.verb, "get");
        assert!(!info.is_long_running());
    }
}
