//! What a request is about, told by method and path alone.

use http::Method;
use percent_encoding::percent_decode_str;

/// A request as authorization and the registry see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    /// The decoded path.
    pub(crate) path: String,
    /// The Kubernetes verb of a resource request, else the method in small letters.
    pub(crate) verb: &'static str,
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
        let path = percent_decode_str(raw_path)
            .decode_utf8()
            .map_err(|_| BadPath)?
            .into_owned();
        let target = target(raw_path)?;
        let Some((mut target, by_prefix)) = target else {
            return Ok(Self {
                path,
                verb: small(method),
                target: None,
            });
        };
        let collection = target.name.is_empty();
        let verb = match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if collection => "deletecollection",
            Method::DELETE => "delete",
            Method::GET | Method::HEAD if by_prefix || (collection && watch) => "watch",
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

/// The target, and whether the deprecated prefix `watch` was used.
fn target(raw: &str) -> Result<Option<(Target, bool)>, BadPath> {
    let parts: Vec<&str> = raw.split('/').filter(|part| !part.is_empty()).collect();
    let decode = |part: &str| {
        let text = percent_decode_str(part).decode_utf8();
        text.map(|text| text.into_owned()).map_err(|_| BadPath)
    };
    let (group, mut rest) = match parts.as_slice() {
        ["api", rest @ ..] => (String::new(), rest),
        ["apis", group, rest @ ..] => (decode(group)?, rest),
        _ => return Ok(None),
    };
    let Some((version, after)) = rest.split_first() else {
        return Ok(None);
    };
    rest = after;
    let mut by_prefix = false;
    if let ["watch", after @ ..] = rest {
        by_prefix = true;
        rest = after;
    }
    if rest.is_empty() {
        return Ok(None);
    }
    let mut target = Target {
        group,
        version: decode(version)?,
        ..Target::default()
    };
    if let ["namespaces", namespace, after @ ..] = rest {
        match after {
            // Subresources of the namespace itself.
            [] | ["status" | "finalize", ..] => {}
            _ => {
                target.namespace = decode(namespace)?;
                rest = after;
            }
        }
    }
    let mut parts = rest.iter();
    let mut next = || parts.next().map_or(Ok(String::new()), |part| decode(part));
    target.resource = next()?;
    target.name = next()?;
    target.subresource = next()?;
    let rest: Result<Vec<String>, BadPath> = parts.map(|part| decode(part)).collect();
    target.rest = rest?.join("/");
    Ok(Some((target, by_prefix)))
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
                "create /v1 ns=a pods/b/c/exec ",
            ),
        ];
        for (method, path, expected) in cases {
            assert_eq!(told(method, path), expected, "{path}");
        }
    }

    #[test]
    fn a_path_that_is_not_text_is_refused() {
        assert_eq!(Info::new(&Method::GET, "/api/v1/%ff", false), Err(BadPath));
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
