//! A client within the cluster: a pod that asks a service again and again and writes down what it got.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use mainstay_tests::wait_until;
use serde_json::json;

use super::cluster::Stack;
use super::limits::{ASKED_MORE, DONE};
use super::web::BUSYBOX;
use crate::pods::is_ready;
use crate::world::Scene;

/// Its name is resolved anew for every request. A line for each: what came, or what went wrong.
const ASK: &str = r#"trap 'exit 0' TERM
while true; do
  if answer=$(timeout 3 wget -q -O - "$URL" 2>&1); then echo "ok $answer"; else echo "failed $answer"; fi
  sleep 0.05
done"#;

/// One pod, on a node that was chosen.
#[derive(Debug)]
pub struct Inside {
    pub name: String,
    pub node: String,
    /// The logs of its container, on this machine: one for each time it was started.
    logs: PathBuf,
}

impl Inside {
    /// Starts one and waits until it got a first answer.
    pub async fn start(stack: &Stack, scene: &Scene, node: &str, name: &str, url: &str) -> Self {
        let pod: Pod = scene
            .create(json!({
                "metadata": {"name": name, "labels": {"app": "inside"}},
                "spec": {
                    "nodeSelector": {"kubernetes.io/hostname": node},
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "ask", "image": BUSYBOX, "command": ["sh", "-c", ASK],
                        "env": [{"name": "URL", "value": url}]}],
                },
            }))
            .await;
        let pods = scene.api::<Pod>();
        wait_until(&format!("{name} runs on {node}"), DONE, async || {
            let pod = pods.get(name).await.ok()?;
            is_ready(&pod).then_some(())
        })
        .await;
        let folder = format!("{}_{name}_{}", scene.namespace, pod.metadata.uid.unwrap());
        let logs = stack.disk(node).join("var/log/pods").join(folder);
        let inside = Self {
            name: name.to_owned(),
            node: node.to_owned(),
            logs: logs.join("ask"),
        };
        let what = format!("{name} on {node} gets an answer from {url}");
        wait_until(&what, DONE, async || {
            inside
                .lines()
                .iter()
                .any(|line| line.answer.is_ok())
                .then_some(())
        })
        .await;
        inside
    }

    /// What it got so far, in order. Its log is far below the size at which a new one begins.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for start in 0.. {
            let log = self.logs.join(format!("{start}.log"));
            let Ok(text) = std::fs::read_to_string(log) else {
                break;
            };
            lines.extend(text.lines().filter_map(parse));
        }
        lines
    }

    /// Waits for more requests, whatever becomes of them.
    pub async fn goes_on(&self) {
        let wanted = self.lines().len() + ASKED_MORE;
        let what = format!("{} on {} asks on", self.name, self.node);
        wait_until(&what, DONE, async || {
            (self.lines().len() >= wanted).then_some(())
        })
        .await;
    }

    /// Waits for answers that it has not got yet.
    pub async fn is_answered(&self) {
        let good = || {
            self.lines()
                .iter()
                .filter(|line| line.answer.is_ok())
                .count()
        };
        let wanted = good() + ASKED_MORE / 10;
        let what = format!("{} on {} is answered", self.name, self.node);
        wait_until(&what, DONE, async || (good() >= wanted).then_some(())).await;
    }

    /// Requests that ended since then and failed: how often, and how.
    #[must_use]
    pub fn failures(&self, since: Timestamp) -> BTreeMap<String, usize> {
        let mut failures = BTreeMap::new();
        for line in self.lines() {
            if let (true, Err(why)) = (line.at >= since, line.answer) {
                *failures.entry(why).or_default() += 1;
            }
        }
        failures
    }

    /// The longest time since then without a good answer.
    #[must_use]
    pub fn gap(&self, since: Timestamp) -> Duration {
        let lines = self.lines();
        let good = lines
            .iter()
            .filter(|line| line.answer.is_ok() && line.at >= since);
        let ends: Vec<Timestamp> = good.map(|line| line.at).chain([Timestamp::now()]).collect();
        let mut last = since;
        let mut gap = Duration::ZERO;
        for end in ends {
            gap = gap.max(end.duration_since(last).unsigned_abs());
            last = end;
        }
        gap
    }
}

/// One request of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it ended, by the runtime's account.
    pub at: Timestamp,
    pub answer: Result<String, String>,
}

/// `TIME stdout F ok TEXT`, as runtimes write logs.
fn parse(line: &str) -> Option<Line> {
    let mut parts = line.splitn(4, ' ');
    let at = parts.next()?.parse().ok()?;
    let (_stream, tag, text) = (parts.next()?, parts.next()?, parts.next()?);
    if tag != "F" {
        return None;
    }
    let (kind, text) = text.split_once(' ')?;
    let answer = match kind {
        "ok" => Ok(text.to_owned()),
        "failed" => Err(text.to_owned()),
        _ => return None,
    };
    Some(Line { at, answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_runtime_are_understood() {
        let good = parse("2026-03-01T10:00:00.5Z stdout F ok web-1 v1").unwrap();
        assert_eq!(good.answer, Ok("web-1 v1".to_owned()));
        assert_eq!(good.at.as_millisecond() % 1_000, 500);
        let bad = parse("2026-03-01T12:00:00+02:00 stdout F failed wget: timed out").unwrap();
        assert_eq!(bad.answer, Err("wget: timed out".to_owned()));
        assert_eq!(parse("2026-03-01T10:00:00Z stdout P ok half"), None);
        assert_eq!(parse("nonsense"), None);
    }
}
