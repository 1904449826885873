//! The HTTP side of the client port: health, version and metrics, with etcd's bodies and status codes.

use crate::http2::Method;
use crate::version;
use bytes::Bytes;
use std::fmt::Write as _;

/// A request, as far as these pages care.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) body: Bytes,
}

/// Whatever answers HTTP requests on a listener.
pub(crate) trait Pages: 'static {
    fn page(&self, ask: Ask) -> impl Future<Output = Page>;
}

/// What the pages need to know of the member.
pub(crate) trait Probe {
    /// Names of active alarms, as etcd writes them (`NOSPACE`, `CORRUPT`).
    fn alarms(&self) -> Vec<&'static str>;
    fn has_leader(&self) -> bool;
    fn is_learner(&self) -> bool;
    /// Whether it is to be a voter and its vote does not count yet.
    fn awaits_vote(&self) -> bool;
    /// Whether members have agreed on anything yet.
    fn is_decided(&self) -> bool;
    /// A small read; the error is etcd's text.
    fn read(&self, serializable: bool) -> impl Future<Output = Result<(), String>>;
    fn metrics(&self) -> String;
    /// Counts the outcome of `/health`.
    fn health_checked(&self, healthy: bool);
}

const TEXT: &[(&str, &str)] = &[
    ("content-type", "text/plain; charset=utf-8"),
    ("x-content-type-options", "nosniff"),
];
const NOT_ALLOWED: &[(&str, &str)] = &[
    ("allow", "GET"),
    ("content-type", "text/plain; charset=utf-8"),
    ("x-content-type-options", "nosniff"),
];
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const PLAIN: &[(&str, &str)] = &[("content-type", "text/plain; charset=utf-8")];
const METRICS: &[(&str, &str)] = &[("content-type", "text/plain; version=0.0.4; charset=utf-8")];

const LIVEZ: &[&str] = &["serializable_read"];
const READYZ: &[&str] = &[
    "data_corruption",
    "serializable_read",
    "linearizable_read",
    "non_learner",
];

/// Not one of etcd's texts: its members vote from the moment they are added, before they have any data.
const AWAITS_VOTE: &str = "its vote does not count yet";

/// Answers one request.
pub(crate) async fn page<P: Probe>(probe: &P, ask: Ask) -> Page {
    if let Some(checks) = checks(&ask.path) {
        return match ask.method {
            Method::Get => checked(probe, checks, &ask.query).await,
            _ => not_allowed(),
        };
    }
    match (ask.path.as_str(), ask.method) {
        ("/health", Method::Get) => health(probe, &ask.query).await,
        ("/version", Method::Get) => version(probe.is_decided()),
        ("/health" | "/version", _) => not_allowed(),
        ("/metrics", _) => metrics(probe.metrics()),
        _ => not_found(),
    }
}

/// `/version`, once members have agreed on anything or before.
pub(crate) fn version(decided: bool) -> Page {
    let cluster = if decided {
        version::CLUSTER
    } else {
        "not_decided"
    };
    let body = format!(
        "{{\"etcdserver\":\"{}\",\"etcdcluster\":\"{cluster}\",\"storage\":\"{}\"}}",
        version::SERVER,
        version::CLUSTER
    );
    Page {
        status: 200,
        headers: JSON,
        body: body.into(),
    }
}

/// `/metrics`.
pub(crate) fn metrics(text: String) -> Page {
    Page {
        status: 200,
        headers: METRICS,
        body: text.into(),
    }
}

/// A page for people and probes.
pub(crate) fn text(status: u16, body: String) -> Page {
    Page {
        status,
        headers: TEXT,
        body: body.into(),
    }
}

/// What `/health` says when something is wrong.
pub(crate) fn unhealthy(reason: &str) -> Page {
    let reason = serde_json::Value::String(reason.to_owned());
    let body = format!("{{\"health\":\"false\",\"reason\":{reason}}}\n");
    text(503, body)
}

pub(crate) fn not_found() -> Page {
    Page {
        status: 404,
        headers: TEXT,
        body: Bytes::from_static(b"404 page not found\n"),
    }
}

fn not_allowed() -> Page {
    Page {
        status: 405,
        headers: NOT_ALLOWED,
        body: Bytes::from_static(b"Method Not Allowed\n"),
    }
}

/// The checks a path stands for: all of its group, or one.
fn checks(path: &str) -> Option<&'static [&'static str]> {
    let (group, one) = match path.strip_prefix("/livez") {
        Some(rest) => (LIVEZ, rest),
        None => (READYZ, path.strip_prefix("/readyz")?),
    };
    if one.is_empty() {
        return Some(group);
    }
    let name = one.strip_prefix('/')?;
    group
        .iter()
        .position(|check| *check == name)
        .map(|at| &group[at..=at])
}

async fn checked<P: Probe>(probe: &P, checks: &[&str], query: &str) -> Page {
    // A single check cannot be excluded from itself.
    let excluded = if checks.len() > 1 || checks == LIVEZ {
        values(query, "exclude")
    } else {
        vec![]
    };
    let mut report = String::new();
    let mut failed = false;
    for check in checks.iter().filter(|check| !excluded.contains(*check)) {
        let result = match *check {
            "data_corruption" if probe.alarms().contains(&"CORRUPT") => {
                Err("alarm activated: CORRUPT".to_owned())
            }
            "serializable_read" => probe.read(true).await,
            "linearizable_read" => probe.read(false).await,
            "non_learner" if probe.is_learner() => Err("not supported for learner".to_owned()),
            "non_learner" if probe.awaits_vote() => Err(AWAITS_VOTE.to_owned()),
            _ => Ok(()),
        };
        let _ = match result {
            Ok(()) => writeln!(report, "[+]{check} ok"),
            Err(why) => {
                failed = true;
                writeln!(report, "[-]{check} failed: {why}")
            }
        };
    }
    if failed {
        report.push('\n');
        return Page {
            status: 503,
            headers: TEXT,
            body: report.into(),
        };
    }
    let body = if has(query, "verbose") {
        report + "ok\n"
    } else {
        "ok\n".to_owned()
    };
    Page {
        status: 200,
        headers: TEXT,
        body: body.into(),
    }
}

async fn health<P: Probe>(probe: &P, query: &str) -> Page {
    let excluded = values(query, "exclude");
    let serializable = values(query, "serializable")
        .first()
        .is_some_and(|v| *v == "true");
    let alarms = probe.alarms();
    let alarm = alarms.iter().find(|alarm| !excluded.contains(*alarm));
    let reason = if let Some(alarm) = alarm {
        Some(format!("ALARM {alarm}"))
    } else if !serializable && !probe.has_leader() {
        Some("RAFT NO LEADER".to_owned())
    } else if !serializable && probe.awaits_vote() {
        Some(AWAITS_VOTE.to_owned())
    } else {
        probe
            .read(serializable)
            .await
            .err()
            .map(|error| format!("RANGE ERROR:{error}"))
    };
    probe.health_checked(reason.is_none());
    match reason {
        None => {
            let body = Bytes::from_static(b"{\"health\":\"true\",\"reason\":\"\"}");
            Page {
                status: 200,
                headers: PLAIN,
                body,
            }
        }
        Some(reason) => {
            tracing::warn!(reason, "serving /health false");
            unhealthy(&reason)
        }
    }
}

/// All non-empty values of a query parameter. The names used here need no percent-decoding.
fn values<'a>(query: &'a str, name: &str) -> Vec<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value)
        .collect()
}

fn has(query: &str, name: &str) -> bool {
    query
        .split('&')
        .any(|pair| pair.split('=').next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct State {
        alarms: Vec<&'static str>,
        no_leader: bool,
        learner: bool,
        awaits_vote: bool,
        unreadable: Option<&'static str>,
    }

    impl Probe for State {
        fn alarms(&self) -> Vec<&'static str> {
            self.alarms.clone()
        }
        fn has_leader(&self) -> bool {
            !self.no_leader
        }
        fn is_learner(&self) -> bool {
            self.learner
        }
        fn awaits_vote(&self) -> bool {
            self.awaits_vote
        }
        fn is_decided(&self) -> bool {
            !self.no_leader
        }
        async fn read(&self, serializable: bool) -> Result<(), String> {
            match self.unreadable {
                Some(error) if !serializable => Err(error.to_owned()),
                _ => Ok(()),
            }
        }
        fn metrics(&self) -> String {
            "etcd_server_has_leader 1\n".to_owned()
        }
        fn health_checked(&self, _: bool) {}
    }

    fn get(state: &State, target: &str) -> (u16, String) {
        ask(state, Method::Get, target)
    }

    fn ask(state: &State, method: Method, target: &str) -> (u16, String) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let ask = Ask {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let page = runtime.block_on(page(state, ask));
        (page.status, String::from_utf8(page.body.to_vec()).unwrap())
    }

    #[test]
    fn health_in_etcds_words_and_order() {
        let good = State::default();
        assert_eq!(
            get(&good, "/health"),
            (200, "{\"health\":\"true\",\"reason\":\"\"}".into())
        );
        let bad = State {
            alarms: vec!["NOSPACE"],
            no_leader: true,
            unreadable: Some("etcdserver: request timed out"),
            ..State::default()
        };
        let body = |reason: &str| format!("{{\"health\":\"false\",\"reason\":\"{reason}\"}}\n");
        assert_eq!(get(&bad, "/health"), (503, body("ALARM NOSPACE")));
        assert_eq!(
            get(&bad, "/health?exclude=NOSPACE"),
            (503, body("RAFT NO LEADER"))
        );
        assert_eq!(
            get(&bad, "/health?exclude=NOSPACE&serializable=true").0,
            200
        );
        let slow = State {
            unreadable: Some("etcdserver: request timed out"),
            ..State::default()
        };
        assert_eq!(
            get(&slow, "/health?serializable=false"),
            (503, body("RANGE ERROR:etcdserver: request timed out"))
        );
    }

    #[test]
    fn a_member_whose_vote_does_not_count_yet_is_not_ready() {
        let state = State {
            awaits_vote: true,
            ..State::default()
        };
        let (status, body) = get(&state, "/health");
        assert_eq!(status, 503);
        assert!(body.contains("its vote does not count yet"), "{body}");
        assert_eq!(get(&state, "/health?serializable=true").0, 200);
        assert_eq!(get(&state, "/livez").0, 200);
        let (status, body) = get(&state, "/readyz");
        assert_eq!(status, 503);
        assert!(
            body.contains("[-]non_learner failed: its vote does not count yet\n"),
            "{body}"
        );
    }

    #[test]
    fn probes_with_sub_checks() {
        let good = State::default();
        assert_eq!(get(&good, "/livez"), (200, "ok\n".into()));
        assert_eq!(
            get(&good, "/readyz?verbose"),
            (
                200,
                "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n"
                    .into()
            )
        );
        let bad = State {
            alarms: vec!["CORRUPT"],
            learner: true,
            unreadable: Some("etcdserver: no leader"),
            ..State::default()
        };
        assert_eq!(get(&bad, "/livez").0, 200);
        let (status, body) = get(&bad, "/readyz");
        assert_eq!(status, 503);
        assert!(
            body.contains("[-]data_corruption failed: alarm activated: CORRUPT\n"),
            "{body}"
        );
        assert!(
            body.contains("[-]linearizable_read failed: etcdserver: no leader\n"),
            "{body}"
        );
        assert!(
            body.contains("[-]non_learner failed: not supported for learner\n"),
            "{body}"
        );
        let excluded = "exclude=data_corruption&exclude=linearizable_read&exclude=non_learner";
        assert_eq!(get(&bad, &format!("/readyz?{excluded}")).0, 200);
        assert_eq!(get(&bad, "/readyz/linearizable_read").0, 503);
        assert_eq!(
            get(&bad, "/readyz/serializable_read?verbose"),
            (200, "[+]serializable_read ok\nok\n".into())
        );
        assert_eq!(get(&good, "/livez/non_learner").0, 404);
    }

    #[test]
    fn other_pages() {
        let good = State::default();
        assert_eq!(
            get(&good, "/version").1,
            "{\"etcdserver\":\"3.7.1\",\"etcdcluster\":\"3.7.0\",\"storage\":\"3.7.0\"}"
        );
        let starting = State {
            no_leader: true,
            ..State::default()
        };
        assert!(
            get(&starting, "/version")
                .1
                .contains("\"etcdcluster\":\"not_decided\"")
        );
        assert_eq!(get(&good, "/metrics").0, 200);
        assert_eq!(get(&good, "/"), (404, "404 page not found\n".into()));
        for path in ["/health", "/version", "/livez", "/readyz/non_learner"] {
            let refused = (405, "Method Not Allowed\n".to_owned());
            assert_eq!(ask(&good, Method::Post, path), refused, "{path}");
        }
    }
}
