//! Figures for scrapers, in Prometheus' text form.

use std::fmt::Write as _;

use super::summary::{Cpu, Memory, Summary};

/// What the text is.
pub(in crate::server) const MEDIA: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One family: its head, and its lines.
struct Family {
    text: String,
    any: bool,
}

impl Family {
    fn new(name: &str, help: &str, kind: &str) -> Self {
        Self {
            text: format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"),
            any: false,
        }
    }

    /// `at` in milliseconds since 1970; 0 for none.
    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64, at: i64) {
        self.any = true;
        let mut text = name.to_owned();
        if !labels.is_empty() {
            let pairs: Vec<String> = labels
                .iter()
                .map(|(key, value)| format!("{key}=\"{}\"", escaped(value)))
                .collect();
            let _ = write!(text, "{{{}}}", pairs.join(","));
        }
        // Writing to a string does not fail.
        let _ = write!(text, " {value}");
        if at != 0 {
            let _ = write!(text, " {at}");
        }
        text.push('\n');
        self.text.push_str(&text);
    }

    fn put(self, all: &mut String) {
        if self.any {
            all.push_str(&self.text);
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn cpu_seconds(cpu: Option<&Cpu>) -> Option<(f64, i64)> {
    let cpu = cpu?;
    Some((cpu.usage_core_nano_seconds? as f64 / 1e9, cpu.at))
}

fn working_set(memory: Option<&Memory>) -> Option<(f64, i64)> {
    let memory = memory?;
    Some((memory.working_set_bytes? as f64, memory.at))
}

/// `/metrics/resource`. `None` if what is used could not be found out.
pub(in crate::server) fn resource(summary: Option<&Summary>) -> String {
    let mut all = String::new();
    let empty = Summary::default();
    let found = summary.unwrap_or(&empty);
    let cpu = "Cumulative cpu time consumed by the";
    let memory = "Current working set of the";
    let containers = || {
        let pods = found.pods.iter();
        pods.flat_map(|pod| pod.containers.iter().map(move |one| (pod, one)))
    };
    let labels = |pod: &'_ super::Pod, container: &'_ super::Container| {
        [
            ("container", container.name.clone()),
            ("namespace", pod.pod_ref.namespace.clone()),
            ("pod", pod.pod_ref.name.clone()),
        ]
    };
    let mut family = |name: &str, help: String, kind: &str, lines: Vec<Lines>| {
        let mut family = Family::new(name, &help, kind);
        for (labels, value, at) in lines {
            let labels: Vec<(&str, &str)> = labels
                .iter()
                .map(|(key, value)| (*key, value.as_str()))
                .collect();
            family.line(name, &labels, value, at);
        }
        family.put(&mut all);
    };
    family(
        "container_cpu_usage_seconds_total",
        format!("[STABLE] {cpu} container in core-seconds"),
        "counter",
        containers()
            .filter_map(|(pod, one)| {
                let (value, at) = cpu_seconds(one.cpu.as_ref())?;
                Some((labels(pod, one).to_vec(), value, at))
            })
            .collect(),
    );
    family(
        "container_memory_working_set_bytes",
        format!("[STABLE] {memory} container in bytes"),
        "gauge",
        containers()
            .filter_map(|(pod, one)| {
                let (value, at) = working_set(one.memory.as_ref())?;
                Some((labels(pod, one).to_vec(), value, at))
            })
            .collect(),
    );
    family(
        "container_start_time_seconds",
        "[STABLE] Start time of the container since unix epoch in seconds".to_owned(),
        "gauge",
        containers()
            .filter(|(_, one)| one.started > 0.0)
            .map(|(pod, one)| (labels(pod, one).to_vec(), one.started, 0))
            .collect(),
    );
    let node = |found: Option<(f64, i64)>| found.map(|(value, at)| (Vec::new(), value, at));
    family(
        "node_cpu_usage_seconds_total",
        format!("[STABLE] {cpu} node in core-seconds"),
        "counter",
        node(cpu_seconds(found.node.cpu.as_ref()))
            .into_iter()
            .collect(),
    );
    family(
        "node_memory_working_set_bytes",
        format!("[STABLE] {memory} node in bytes"),
        "gauge",
        node(working_set(found.node.memory.as_ref()))
            .into_iter()
            .collect(),
    );
    let of_pods = |value: fn(&super::Pod) -> Option<(f64, i64)>| -> Vec<Lines> {
        let lines = found.pods.iter().filter_map(|pod| {
            let (value, at) = value(pod)?;
            let labels = vec![
                ("namespace", pod.pod_ref.namespace.clone()),
                ("pod", pod.pod_ref.name.clone()),
            ];
            Some((labels, value, at))
        });
        lines.collect()
    };
    family(
        "pod_cpu_usage_seconds_total",
        format!("[STABLE] {cpu} pod in core-seconds"),
        "counter",
        of_pods(|pod| cpu_seconds(pod.cpu.as_ref())),
    );
    family(
        "pod_memory_working_set_bytes",
        format!("[STABLE] {memory} pod in bytes"),
        "gauge",
        of_pods(|pod| working_set(pod.memory.as_ref())),
    );
    let failed = if summary.is_some() { 0.0 } else { 1.0 };
    for name in ["resource_scrape_error", "scrape_error"] {
        family(
            name,
            "1 if there was an error while getting container metrics, 0 otherwise".to_owned(),
            "gauge",
            vec![(Vec::new(), failed, 0)],
        );
    }
    all
}

/// Labels, value, and milliseconds since 1970.
type Lines = (Vec<(&'static str, String)>, f64, i64);

/// `/metrics/cadvisor`: the figures of it that most dashboards are made of.
pub(in crate::server) fn cadvisor(summary: &Summary) -> String {
    let mut all = String::new();
    type Value = fn(&super::Container) -> Option<(f64, i64)>;
    let families: [(&str, &str, &str, Value); 5] = [
        (
            "container_cpu_usage_seconds_total",
            "Cumulative cpu time consumed in seconds.",
            "counter",
            |one| cpu_seconds(one.cpu.as_ref()),
        ),
        (
            "container_memory_working_set_bytes",
            "Current working set in bytes.",
            "gauge",
            |one| working_set(one.memory.as_ref()),
        ),
        (
            "container_memory_usage_bytes",
            "Current memory usage in bytes, including all memory regardless of when it was accessed",
            "gauge",
            |one| {
                let memory = one.memory.as_ref()?;
                Some((memory.usage_bytes? as f64, memory.at))
            },
        ),
        (
            "container_memory_rss",
            "Size of RSS in bytes.",
            "gauge",
            |one| {
                let memory = one.memory.as_ref()?;
                Some((memory.rss_bytes? as f64, memory.at))
            },
        ),
        (
            "container_start_time_seconds",
            "Start time of the container since unix epoch in seconds.",
            "gauge",
            |one| (one.started > 0.0).then_some((one.started, 0)),
        ),
    ];
    for (name, help, kind, value) in families {
        let mut family = Family::new(name, help, kind);
        for pod in &summary.pods {
            for one in &pod.containers {
                if let Some((value, at)) = value(one) {
                    let labels = [
                        ("container", one.name.as_str()),
                        ("namespace", &pod.pod_ref.namespace),
                        ("pod", &pod.pod_ref.name),
                    ];
                    family.line(name, &labels, value, at);
                }
            }
        }
        family.put(&mut all);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::{Container, Pod, PodRef};
    use super::*;

    #[test]
    fn figures_have_upstreams_names_and_labels() {
        let container = Container {
            name: "c".to_owned(),
            started: 12.5,
            cpu: Some(Cpu {
                at: 1000,
                usage_core_nano_seconds: Some(1_500_000_000),
                ..Cpu::default()
            }),
            ..Container::default()
        };
        let summary = Summary {
            pods: vec![Pod {
                pod_ref: PodRef {
                    name: "p".to_owned(),
                    namespace: "a\"b".to_owned(),
                    uid: "u".to_owned(),
                },
                containers: vec![container],
                ..Pod::default()
            }],
            ..Summary::default()
        };
        let text = resource(Some(&summary));
        let line =
            r#"container_cpu_usage_seconds_total{container="c",namespace="a\"b",pod="p"} 1.5 1000"#;
        assert!(text.contains(line), "{text}");
        let line = r#"container_start_time_seconds{container="c",namespace="a\"b",pod="p"} 12.5"#;
        assert!(text.contains(line), "{text}");
        assert!(text.contains("\nresource_scrape_error 0\n"), "{text}");
        assert!(!text.contains("node_cpu"), "{text}");
        assert!(resource(None).contains("\nscrape_error 1\n"));
        assert!(cadvisor(&summary).contains("container_cpu_usage_seconds_total{"));
    }
}
