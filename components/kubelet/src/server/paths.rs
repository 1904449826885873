//! What is at which path.

use percent_encoding::percent_decode_str;

/// A container of a pod, or a pod if there is no container's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub namespace: String,
    pub pod: String,
    /// Where the caller wants exactly this one.
    pub uid: Option<String>,
    pub container: String,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// One of `/healthz` and what is below it.
    Health,
    Pods,
    RunningPods,
    Summary,
    Metrics,
    ResourceMetrics,
    CadvisorMetrics,
    Configz,
    /// A file or folder of the node's logs; empty for the whole folder.
    NodeLogs(String),
    ContainerLogs(Target),
    Run(Target),
    Exec(Target),
    Attach(Target),
    PortForward(Target),
}

/// Why there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPage {
    NotFound,
    /// It is there, for another method.
    Method,
}

impl Page {
    /// What `path`, as it stood in the request, means for a method.
    ///
    /// # Errors
    /// If there is nothing, or not for this method.
    pub fn of(method: &str, path: &str) -> Result<Self, NoPage> {
        let page = Self::at(path).ok_or(NoPage::NotFound)?;
        let allowed: &[&str] = match page {
            Self::Exec(_) | Self::Attach(_) | Self::PortForward(_) | Self::Summary => {
                &["GET", "POST"]
            }
            Self::Run(_) => &["POST"],
            Self::Pods | Self::RunningPods | Self::ContainerLogs(_) | Self::NodeLogs(_) => &["GET"],
            _ => &["GET", "HEAD"],
        };
        match allowed.contains(&method) {
            true => Ok(page),
            false => Err(NoPage::Method),
        }
    }

    /// For figures: what it is called, and whether an answer may take as long as it likes.
    #[must_use]
    pub fn name(&self) -> (&'static str, bool) {
        match self {
            Self::Health => ("healthz", false),
            Self::Pods => ("pods", false),
            Self::RunningPods => ("runningpods", false),
            Self::Summary => ("stats", false),
            Self::Metrics => ("metrics", false),
            Self::ResourceMetrics => ("metrics/resource", false),
            Self::CadvisorMetrics => ("metrics/cadvisor", false),
            Self::Configz => ("configz", false),
            Self::NodeLogs(_) => ("logs", false),
            Self::ContainerLogs(_) => ("containerLogs", true),
            Self::Run(_) => ("run", false),
            Self::Exec(_) => ("exec", true),
            Self::Attach(_) => ("attach", true),
            Self::PortForward(_) => ("portForward", true),
        }
    }

    fn at(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        if let Some(file) = path.strip_prefix("logs/") {
            return Some(Self::NodeLogs(decoded(file)?));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let words: Vec<String> = path.split('/').map(decoded).collect::<Option<_>>()?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let target = |container: Option<&str>, uid: Option<&str>| Target {
            namespace: words[1].to_owned(),
            pod: words[2].to_owned(),
            uid: uid.map(str::to_owned),
            container: container.unwrap_or_default().to_owned(),
        };
        let of_container = || match words.len() {
            4 => Some(target(Some(words[3]), None)),
            5 => Some(target(Some(words[4]), Some(words[3]))),
            _ => None,
        };
        Some(match (words[0], words.len()) {
            ("healthz", 1 | 2) => Self::Health,
            ("pods", 1) => Self::Pods,
            ("runningpods", 1) => Self::RunningPods,
            ("stats", 2) if words[1] == "summary" => Self::Summary,
            ("metrics", 1) => Self::Metrics,
            ("metrics", 2) if words[1] == "resource" => Self::ResourceMetrics,
            ("metrics", 2) if words[1] == "cadvisor" => Self::CadvisorMetrics,
            ("configz", 1) => Self::Configz,
            ("logs", 1) => Self::NodeLogs(String::new()),
            ("containerLogs", 4) => Self::ContainerLogs(target(Some(words[3]), None)),
            ("run", _) => Self::Run(of_container()?),
            ("exec", _) => Self::Exec(of_container()?),
            ("attach", _) => Self::Attach(of_container()?),
            ("portForward", 3) => Self::PortForward(target(None, None)),
            ("portForward", 4) => Self::PortForward(target(None, Some(words[3]))),
            _ => return None,
        })
    }
}

/// `None` for what is no text.
fn decoded(word: &str) -> Option<String> {
    let text = percent_decode_str(word).decode_utf8().ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(container: &str, uid: Option<&str>) -> Target {
        Target {
            namespace: "ns".to_owned(),
            pod: "p".to_owned(),
            uid: uid.map(str::to_owned),
            container: container.to_owned(),
        }
    }

    #[test]
    fn pages_are_where_upstream_has_them() {
        for (method, path, page) in [
            ("GET", "/healthz", Page::Health),
            ("GET", "/healthz/syncloop", Page::Health),
            ("GET", "/pods", Page::Pods),
            ("GET", "/runningpods/", Page::RunningPods),
            ("POST", "/stats/summary", Page::Summary),
            ("GET", "/logs/", Page::NodeLogs(String::new())),
            ("GET", "/logs/a%20b/c", Page::NodeLogs("a b/c".to_owned())),
            (
                "GET",
                "/containerLogs/ns/p/c",
                Page::ContainerLogs(target("c", None)),
            ),
            ("POST", "/exec/ns/p/c", Page::Exec(target("c", None))),
            ("GET", "/exec/ns/p/u/c", Page::Exec(target("c", Some("u")))),
            ("GET", "/attach/ns/p/c", Page::Attach(target("c", None))),
            (
                "POST",
                "/portForward/ns/p",
                Page::PortForward(target("", None)),
            ),
            (
                "POST",
                "/portForward/ns/p/u",
                Page::PortForward(target("", Some("u"))),
            ),
            ("POST", "/run/ns/p/c", Page::Run(target("c", None))),
        ] {
            assert_eq!(Page::of(method, path), Ok(page), "{method} {path}");
        }
    }

    #[test]
    fn what_is_no_path_is_not_found_and_never_panics() {
        for path in [
            "",
            "/",
            "//",
            "/exec",
            "/exec/ns",
            "/exec/ns/p",
            "/exec/ns/p/u/c/d",
            "/portForward/ns",
            "/containerLogs/ns/p",
            "/stats",
            "/metrics/none",
            "/%ff",
            "/exec/%ff/p/c",
            "pods",
        ] {
            assert_eq!(Page::of("GET", path), Err(NoPage::NotFound), "{path:?}");
        }
        assert_eq!(Page::of("DELETE", "/pods"), Err(NoPage::Method));
        assert_eq!(Page::of("GET", "/run/ns/p/c"), Err(NoPage::Method));
    }
}
