//! Reads the tables beside this file into objects.

use serde_json::{Map, Value, json};

use crate::rbac::{GROUP, PolicyRule};

const TABLES: [&str; 4] = [
    include_str!("cluster-roles.txt"),
    include_str!("controller-roles.txt"),
    include_str!("namespaced.txt"),
    include_str!("bindings.txt"),
];

/// A resource that Kubernetes 1.36 does not serve by default. Roles and rules about it are part of the policy
/// only where it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// certificates.k8s.io clustertrustbundles (GA in 1.37).
    ClusterTrustBundles,
    /// certificates.k8s.io podcertificaterequests (GA in 1.37).
    PodCertificateRequests,
    /// resource.k8s.io devicetaintrules (GA in 1.37).
    DeviceTaintRules,
    /// scheduling.k8s.io podgroups and workloads (alpha).
    Workloads,
}

impl Gate {
    /// Every gate.
    pub const ALL: [Gate; 4] = [
        Gate::ClusterTrustBundles,
        Gate::PodCertificateRequests,
        Gate::DeviceTaintRules,
        Gate::Workloads,
    ];
    /// The resources that are GA in 1.37 and served here beside those of 1.36.
    pub const SERVED: [Gate; 3] = [
        Gate::ClusterTrustBundles,
        Gate::PodCertificateRequests,
        Gate::DeviceTaintRules,
    ];

    fn name(self) -> &'static str {
        match self {
            Gate::ClusterTrustBundles => "ClusterTrustBundles",
            Gate::PodCertificateRequests => "PodCertificateRequests",
            Gate::DeviceTaintRules => "DeviceTaintRules",
            Gate::Workloads => "Workloads",
        }
    }
}

/// The objects of the policy, each list in the order of the tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// `ClusterRole` objects.
    pub cluster_roles: Vec<Value>,
    /// `ClusterRoleBinding` objects.
    pub cluster_role_bindings: Vec<Value>,
    /// `Role` objects.
    pub roles: Vec<Value>,
    /// `RoleBinding` objects.
    pub role_bindings: Vec<Value>,
}

/// The policy with what stands behind these gates. No gates is exactly what Kubernetes 1.36 starts with.
pub fn policy(gates: &[Gate]) -> Policy {
    let mut policy = Policy::default();
    for table in TABLES {
        read_table(table, gates, &mut policy);
    }
    policy
}

/// The rules of `system:node`, which the node authorizer falls back to.
pub fn node_rules(gates: &[Gate]) -> Vec<PolicyRule> {
    let roles = policy(gates).cluster_roles;
    let node = roles
        .iter()
        .find(|role| role["metadata"]["name"] == "system:node");
    let rules = node
        .and_then(|role| role["rules"].as_array())
        .expect("the table has system:node");
    rules.iter().map(PolicyRule::from_value).collect()
}

fn read_table(table: &str, gates: &[Gate], policy: &mut Policy) {
    let mut current: Option<Object> = None;
    let mut skipped = false;
    for line in table
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
    {
        let indented = line.starts_with(' ');
        let (open, rest) = gate_of(line.trim_start(), gates);
        if indented {
            if open && !skipped {
                current
                    .as_mut()
                    .expect("a table starts with an object")
                    .line(rest);
            }
            continue;
        }
        skipped = !open;
        if let Some(object) = current.take() {
            object.finish(policy);
        }
        current = open.then(|| Object::new(rest));
    }
    if let Some(object) = current {
        object.finish(policy);
    }
}

/// Whether the line's gate (if any) is open, and the line without it.
fn gate_of<'l>(line: &'l str, gates: &[Gate]) -> (bool, &'l str) {
    let Some((name, rest)) = line
        .strip_prefix('[')
        .and_then(|line| line.split_once("] "))
    else {
        return (true, line);
    };
    (gates.iter().any(|gate| gate.name() == name), rest)
}

struct Object {
    kind: &'static str,
    value: Map<String, Value>,
    lines: Vec<Value>,
}

impl Object {
    fn new(head: &str) -> Object {
        let mut words = head.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let what = word();
        let mut metadata = Map::new();
        let mut value = Map::new();
        let kind = match what.as_str() {
            "clusterrole" => "ClusterRole",
            "role" => "Role",
            "clusterrolebinding" => "ClusterRoleBinding",
            _ => "RoleBinding",
        };
        if matches!(kind, "Role" | "RoleBinding") {
            metadata.insert("namespace".to_owned(), json!(word()));
        }
        metadata.insert("name".to_owned(), json!(word()));
        match kind {
            "ClusterRoleBinding" => {
                value.insert("roleRef".to_owned(), role_ref("ClusterRole", &word()))
            }
            "RoleBinding" => {
                let kind = word();
                value.insert("roleRef".to_owned(), role_ref(&kind, &word()))
            }
            _ => None,
        };
        let mut labels = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
        for (key, role) in words.filter_map(|word| word.split_once('=')) {
            let label = format!("rbac.authorization.k8s.io/aggregate-to-{role}");
            if key == "to" {
                labels[label] = json!("true");
            } else {
                let selectors = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
                value.insert("aggregationRule".to_owned(), selectors);
            }
        }
        metadata.insert("labels".to_owned(), labels);
        let annotations = json!({"rbac.authorization.kubernetes.io/autoupdate": "true"});
        metadata.insert("annotations".to_owned(), annotations);
        value.insert("apiVersion".to_owned(), json!(format!("{GROUP}/v1")));
        value.insert("kind".to_owned(), json!(kind));
        value.insert("metadata".to_owned(), Value::Object(metadata));
        Object {
            kind,
            value,
            lines: Vec::new(),
        }
    }

    fn line(&mut self, line: &str) {
        self.lines.push(if self.kind.ends_with("Binding") {
            subject(line)
        } else {
            rule(line)
        });
    }

    fn finish(mut self, policy: &mut Policy) {
        let (list, lines) = match self.kind {
            "ClusterRole" => (&mut policy.cluster_roles, "rules"),
            "Role" => (&mut policy.roles, "rules"),
            "ClusterRoleBinding" => (&mut policy.cluster_role_bindings, "subjects"),
            _ => (&mut policy.role_bindings, "subjects"),
        };
        if !self.lines.is_empty() {
            self.value
                .insert(lines.to_owned(), Value::Array(self.lines));
        } else if lines == "rules" {
            self.value.insert(lines.to_owned(), Value::Null);
        }
        list.push(Value::Object(self.value));
    }
}

fn role_ref(kind: &str, name: &str) -> Value {
    json!({"apiGroup": GROUP, "kind": kind, "name": name})
}

fn subject(line: &str) -> Value {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["ServiceAccount", namespace, name] => {
            json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
        }
        [kind, name] => json!({"apiGroup": GROUP, "kind": kind, "name": name}),
        _ => Value::Null,
    }
}

fn rule(line: &str) -> Value {
    let list = |text: &str| -> Vec<String> {
        text.split(',')
            .map(|item| {
                if item == "core" {
                    String::new()
                } else {
                    item.to_owned()
                }
            })
            .collect()
    };
    let parts: Vec<&str> = line.split(" ; ").collect();
    let rule = match parts[..] {
        [verbs, "path", urls] => PolicyRule {
            verbs: list(verbs),
            non_resource_urls: list(urls),
            ..PolicyRule::default()
        },
        [verbs, groups, resources, ..] => PolicyRule {
            verbs: list(verbs),
            api_groups: list(groups),
            resources: list(resources),
            resource_names: parts.get(3).map(|names| list(names)).unwrap_or_default(),
            ..PolicyRule::default()
        },
        _ => PolicyRule::default(),
    };
    rule.to_value()
}
