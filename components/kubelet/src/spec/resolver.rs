//! DNS of pods: `/etc/resolv.conf` by policy.

use k8s_openapi::api::core::v1::{Pod, PodDNSConfig, PodDNSConfigOption};
use mainstay_cri::DNSConfig;

use super::node_facts::NodeFacts;
use crate::limits::{
    DNS_NAMESERVERS_MAX, DNS_SEARCH_BYTES_MAX, DNS_SEARCH_DOMAIN_BYTES_MAX, DNS_SEARCHES_MAX,
};

/// What a resolv.conf says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

impl ResolvConf {
    /// Reads a resolv.conf: servers add up, the last `search` counts, and the last of each option.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut read = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => read.servers.extend(words.next().map(str::to_owned)),
                Some("search") => {
                    // With and without the last dot it is one domain.
                    let trimmed = |word: &str| word.strip_suffix('.').unwrap_or(word).to_owned();
                    read.searches = words.filter(|word| *word != ".").map(trimmed).collect();
                }
                Some("options") => {
                    for word in words {
                        set_option(&mut read.options, word.to_owned());
                    }
                }
                _ => {}
            }
        }
        read
    }
}

/// Replaces the option of the same name.
fn set_option(options: &mut Vec<String>, option: String) {
    let name = |option: &str| option.split(':').next().unwrap_or_default().to_owned();
    match options.iter_mut().find(|had| name(had) == name(&option)) {
        Some(had) => *had = option,
        None => options.push(option),
    }
}

/// A pod's DNS settings and what its owner should be told about them, as messages of events `(reason, message)`.
#[must_use]
pub fn pod_dns(pod: &Pod, node: &NodeFacts) -> (DNSConfig, Vec<(&'static str, String)>) {
    let mut said = Vec::new();
    let host = node.resolv_conf.clone().unwrap_or_default();
    let mut dns = match source(pod) {
        Source::Nothing => DNSConfig::default(),
        Source::Cluster if !node.cluster_dns.is_empty() => DNSConfig {
            servers: node.cluster_dns.iter().map(ToString::to_string).collect(),
            searches: cluster_searches(pod, node, host.searches),
            options: vec!["ndots:5".to_owned()],
        },
        source => {
            if source == Source::Cluster {
                said.push(("MissingClusterDNS", missing(pod)));
            }
            match &node.resolv_conf {
                Some(_) => DNSConfig {
                    servers: host.servers,
                    searches: host.searches,
                    options: host.options,
                },
                // What a resolver without a configuration does: it asks the machine itself.
                None => DNSConfig {
                    servers: node_itself(node),
                    searches: vec![".".to_owned()],
                    options: Vec::new(),
                },
            }
        }
    };
    let own = pod.spec.as_ref().and_then(|spec| spec.dns_config.as_ref());
    if let Some(own) = own {
        add(&mut dns, own);
    }
    said.extend(fit(&mut dns).map(|message| ("DNSConfigForming", message)));
    (dns, said)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Cluster,
    Host,
    Nothing,
}

fn source(pod: &Pod) -> Source {
    let Some(spec) = &pod.spec else {
        return Source::Cluster;
    };
    match spec.dns_policy.as_deref() {
        Some("None") => Source::Nothing,
        Some("Default") => Source::Host,
        Some("ClusterFirst") if spec.host_network == Some(true) => Source::Host,
        _ => Source::Cluster,
    }
}

fn missing(pod: &Pod) -> String {
    format!(
        "pod: {:?}. kubelet does not have ClusterDNS IP configured and cannot create Pod using \"ClusterFirst\" \
         policy. Falling back to \"Default\" policy.",
        super::error::pod_words(pod)
    )
}

fn node_itself(node: &NodeFacts) -> Vec<String> {
    let mut servers: Vec<_> = node.addresses.iter().map(|ip| ip.is_ipv6()).collect();
    if servers.is_empty() {
        servers.push(false);
    }
    let server = |v6| if v6 { "::1" } else { "127.0.0.1" };
    servers
        .into_iter()
        .map(|v6| server(v6).to_owned())
        .collect()
}

fn cluster_searches(pod: &Pod, node: &NodeFacts, host: Vec<String>) -> Vec<String> {
    let domain = &node.cluster_domain;
    if domain.is_empty() {
        return host;
    }
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut searches = vec![
        format!("{namespace}.svc.{domain}"),
        format!("svc.{domain}"),
        domain.clone(),
    ];
    searches.extend(host);
    once(searches)
}

fn once(texts: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(texts.len());
    for text in texts {
        if !kept.contains(&text) {
            kept.push(text);
        }
    }
    kept
}

/// Adds what the pod itself asks for.
fn add(dns: &mut DNSConfig, own: &PodDNSConfig) {
    dns.servers
        .extend(own.nameservers.iter().flatten().cloned());
    dns.servers = once(std::mem::take(&mut dns.servers));
    dns.searches.extend(own.searches.iter().flatten().cloned());
    dns.searches = once(std::mem::take(&mut dns.searches));
    for PodDNSConfigOption { name, value } in own.options.iter().flatten() {
        let name = name.as_deref().unwrap_or_default();
        let option = match value.as_deref().unwrap_or_default() {
            "" => name.to_owned(),
            value => format!("{name}:{value}"),
        };
        set_option(&mut dns.options, option);
    }
}

/// Leaves out what resolvers would not read, and says so.
fn fit(dns: &mut DNSConfig) -> impl Iterator<Item = String> {
    let mut servers = None;
    if dns.servers.len() > DNS_NAMESERVERS_MAX {
        dns.servers.truncate(DNS_NAMESERVERS_MAX);
        servers = Some(format!(
            "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: {}",
            dns.servers.join(" ")
        ));
    }
    let wanted = dns.searches.len();
    dns.searches.truncate(DNS_SEARCHES_MAX);
    dns.searches
        .retain(|search| search.len() <= DNS_SEARCH_DOMAIN_BYTES_MAX);
    while dns.searches.join(" ").len() > DNS_SEARCH_BYTES_MAX {
        dns.searches.pop();
    }
    let searches = (dns.searches.len() < wanted).then(|| {
        format!(
            "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: {}",
            dns.searches.join(" ")
        )
    });
    servers.into_iter().chain(searches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{facts, pod};

    #[test]
    fn a_resolv_conf_is_read_as_resolvers_read_it() {
        let text = "# comment\n nameserver 1.1.1.1\nnameserver\nsearch a b\nsearch c. . c.d\n\
                    options ndots:2 rotate\noptions ndots:3\nnameserver ::1\nbogus x\n";
        assert_eq!(
            ResolvConf::parse(text),
            ResolvConf {
                servers: vec!["1.1.1.1".into(), "::1".into()],
                searches: vec!["c".into(), "c.d".into()],
                options: vec!["ndots:3".into(), "rotate".into()],
            }
        );
    }

    /// The node of these tests has 9.9.9.9, `host.example` and `rotate`; the cluster's server is 10.0.0.10.
    #[test]
    fn policies() {
        let cluster = (
            "10.0.0.10",
            "ns.svc.cluster.local svc.cluster.local cluster.local host.example",
            "ndots:5",
        );
        let host = ("9.9.9.9", "host.example", "rotate");
        for (spec, expected) in [
            ("dnsPolicy: ClusterFirst", cluster),
            ("dnsPolicy: ClusterFirst\nhostNetwork: true", host),
            (
                "dnsPolicy: ClusterFirstWithHostNet\nhostNetwork: true",
                cluster,
            ),
            ("dnsPolicy: Default", host),
            (
                "dnsPolicy: None\ndnsConfig: {nameservers: [1.2.3.4], searches: [x], options: [{name: ndots, value: '1'}, {name: edns0}]}",
                ("1.2.3.4", "x", "ndots:1 edns0"),
            ),
            (
                "dnsPolicy: Default\ndnsConfig: {nameservers: [9.9.9.9, 8.8.8.8], searches: [host.example, y], options: [{name: rotate}, {name: ndots, value: '7'}]}",
                ("9.9.9.9 8.8.8.8", "host.example y", "rotate ndots:7"),
            ),
            (
                "dnsPolicy: ClusterFirst\ndnsConfig: {options: [{name: ndots, value: '2'}]}",
                ("10.0.0.10", cluster.1, "ndots:2"),
            ),
        ] {
            let (dns, said) = pod_dns(&pod(&format!("{spec}\ncontainers: []")), &facts());
            let (servers, searches, options) = expected;
            assert_eq!(dns.servers.join(" "), servers, "{spec}");
            assert_eq!(dns.searches.join(" "), searches, "{spec}");
            assert_eq!(dns.options.join(" "), options, "{spec}");
            assert_eq!(said, [], "{spec}");
        }
    }

    #[test]
    fn without_a_cluster_server_the_hosts_is_used_and_the_owner_told() {
        let mut node = facts();
        node.cluster_dns.clear();
        let pod = pod("dnsPolicy: ClusterFirst\ncontainers: []");
        let (dns, said) = pod_dns(&pod, &node);
        assert_eq!(dns.servers, ["9.9.9.9"]);
        assert_eq!(said[0].0, "MissingClusterDNS");
        node.resolv_conf = None;
        let (dns, _) = pod_dns(&pod, &node);
        assert_eq!(
            (dns.servers, dns.searches),
            (vec!["127.0.0.1".into()], vec![".".into()])
        );
    }

    #[test]
    fn too_much_is_left_out_and_said() {
        let many = |n: usize, text: &str| {
            (0..n)
                .map(|i| format!("{text}{i}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let spec = format!(
            "dnsPolicy: None\ncontainers: []\ndnsConfig: {{nameservers: [{}], searches: [{}]}}",
            many(4, "1.1.1."),
            many(33, "s")
        );
        let (dns, said) = pod_dns(&pod(&spec), &facts());
        assert_eq!((dns.servers.len(), dns.searches.len()), (3, 32));
        assert_eq!(said.len(), 2);
        assert!(
            said[0]
                .1
                .ends_with("nameserver line is: 1.1.1.0 1.1.1.1 1.1.1.2")
        );
        let long = "x".repeat(200);
        let spec = format!(
            "dnsPolicy: None\ncontainers: []\ndnsConfig: {{searches: [{}]}}",
            many(12, &long)
        );
        let (dns, _) = pod_dns(&pod(&spec), &facts());
        assert_eq!(dns.searches.len(), 10);
    }
}
