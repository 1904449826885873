//! A container's variables.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret, Service};
use mainstay_cri::KeyValue;

use super::amounts::amount;
use super::error::ConfigError;
use super::expand::expand;
use super::fields::variable_field;
use super::node_facts::NodeFacts;
use super::service_env::service_variables;

/// The objects of its namespace that a pod's variables and volumes come from; one that is not here is not there.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    pub config_maps: BTreeMap<String, Arc<ConfigMap>>,
    pub secrets: BTreeMap<String, Arc<Secret>>,
}

impl Objects {
    pub(crate) fn config_map(&self, name: &str) -> Result<&ConfigMap, ConfigError> {
        let found = self.config_maps.get(name).map(Arc::as_ref);
        found.ok_or_else(|| ConfigError::new(format!("configmap {name:?} not found")))
    }

    pub(crate) fn secret(&self, name: &str) -> Result<&Secret, ConfigError> {
        let found = self.secrets.get(name).map(Arc::as_ref);
        found.ok_or_else(|| ConfigError::new(format!("secret {name:?} not found")))
    }
}

/// Variables by name. Values are bytes: those of secrets need not be text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, Vec<u8>>);

/// Names only: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What variables are made from, beside the pod.
#[derive(Clone, Copy, Debug)]
pub struct EnvironmentSources<'a> {
    pub node: &'a NodeFacts,
    pub objects: &'a Objects,
    /// All services of the default namespace and of the pod's.
    pub services: &'a [Arc<Service>],
    /// None as long as the pod has no sandbox.
    pub pod_ips: &'a [String],
}

impl Environment {
    /// Sources of `envFrom` first, then `env` in order, each of which can refer to those before it and to services;
    /// services count where nothing else has their name.
    ///
    /// # Errors
    /// If what a variable refers to is not there and not optional.
    pub fn of(
        pod: &Pod,
        container: &Container,
        from: EnvironmentSources<'_>,
    ) -> Result<Self, ConfigError> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let links = pod.spec.as_ref().and_then(|spec| spec.enable_service_links);
        let services = service_variables(from.services, namespace, links.unwrap_or(true));
        let mut own = Self::default();
        own.add_sources(container, from.objects)?;
        for variable in container.env.iter().flatten() {
            let value = match (variable.value.as_deref(), &variable.value_from) {
                (None | Some(""), Some(source)) => match resolve(source, pod, container, &from)? {
                    Some(value) => value,
                    None => continue,
                },
                (value, _) => {
                    let known = |name: &str| {
                        let service = || services.get(name).map(String::as_str);
                        own.text(name).or_else(service)
                    };
                    expand(value.unwrap_or_default(), known).into_bytes()
                }
            };
            own.0.insert(variable.name.clone(), value);
        }
        for (name, value) in services {
            own.0.entry(name).or_insert_with(|| value.into_bytes());
        }
        Ok(own)
    }

    /// A variable's value, if it is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.0.get(name)?).ok()
    }

    /// As the runtime takes them, in the order of names.
    #[must_use]
    pub fn into_runtime(self) -> Vec<KeyValue> {
        let pairs = self.0.into_iter();
        pairs.map(|(key, value)| KeyValue { key, value }).collect()
    }

    fn add_sources(&mut self, container: &Container, objects: &Objects) -> Result<(), ConfigError> {
        for source in container.env_from.iter().flatten() {
            let prefix = source.prefix.as_deref().unwrap_or_default();
            let mut add = |name: &str, value: Vec<u8>| {
                self.0.insert(format!("{prefix}{name}"), value);
            };
            if let Some(reference) = &source.config_map_ref {
                let optional = reference.optional == Some(true);
                if let Some(map) = unless(optional, objects.config_map(&reference.name))? {
                    for (name, value) in map.data.iter().flatten() {
                        add(name, value.clone().into_bytes());
                    }
                }
            } else if let Some(reference) = &source.secret_ref {
                let optional = reference.optional == Some(true);
                if let Some(secret) = unless(optional, objects.secret(&reference.name))? {
                    for (name, value) in secret.data.iter().flatten() {
                        add(name, value.0.clone());
                    }
                }
            }
        }
        Ok(())
    }
}

/// What is not there is nothing, if it is optional.
fn unless<T>(optional: bool, found: Result<T, ConfigError>) -> Result<Option<T>, ConfigError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(_) if optional => Ok(None),
        Err(error) => Err(error),
    }
}

fn resolve(
    source: &EnvVarSource,
    pod: &Pod,
    container: &Container,
    from: &EnvironmentSources<'_>,
) -> Result<Option<Vec<u8>>, ConfigError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let no_key = |key: &str, kind: &str, name: &str| {
        Err(ConfigError::new(format!(
            "couldn't find key {key} in {kind} {namespace}/{name}"
        )))
    };
    if let Some(field) = &source.field_ref {
        let text = variable_field(pod, &field.field_path, from.pod_ips, from.node)?;
        return Ok(Some(text.into_bytes()));
    }
    if let Some(selector) = &source.resource_field_ref {
        let text = amount(selector, pod, Some(container), from.node)?;
        return Ok(Some(text.into_bytes()));
    }
    if let Some(key) = &source.config_map_key_ref {
        let optional = key.optional == Some(true);
        let Some(map) = unless(optional, from.objects.config_map(&key.name))? else {
            return Ok(None);
        };
        return match map.data.as_ref().and_then(|data| data.get(&key.key)) {
            Some(text) => Ok(Some(text.clone().into_bytes())),
            None if optional => Ok(None),
            None => no_key(&key.key, "ConfigMap", &key.name),
        };
    }
    if let Some(key) = &source.secret_key_ref {
        let optional = key.optional == Some(true);
        let Some(secret) = unless(optional, from.objects.secret(&key.name))? else {
            return Ok(None);
        };
        return match secret.data.as_ref().and_then(|data| data.get(&key.key)) {
            Some(bytes) => Ok(Some(bytes.0.clone())),
            None if optional => Ok(None),
            None => no_key(&key.key, "Secret", &key.name),
        };
    }
    if source.file_key_ref.is_some() {
        let why = "variables from files (fileKeyRef) are not supported by this kubelet";
        return Err(ConfigError::new(why));
    }
    Ok(Some(Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{config_map, facts, pod, secret};

    fn objects() -> Objects {
        Objects {
            config_maps: BTreeMap::from([(
                "cm".to_owned(),
                config_map("{data: {A: cm-a, B: cm-b}}"),
            )]),
            secrets: BTreeMap::from([(
                "sec".to_owned(),
                secret("{data: {B: c2VjLWI=, RAW: /w==}}"),
            )]),
        }
    }

    fn made(container: &str) -> Result<Environment, String> {
        let mut pod = pod(&format!(
            "enableServiceLinks: false\ncontainers: [{container}]"
        ));
        pod.metadata.labels = Some(BTreeMap::from([("app".into(), "web".into())]));
        let kubernetes = serde_yaml_ng::from_str(
            "{metadata: {name: kubernetes, namespace: default}, spec: {clusterIP: 10.0.0.1, ports: [{port: 443}]}}",
        );
        let container = &pod.spec.as_ref().expect("has one").containers[0];
        let sources = EnvironmentSources {
            node: &facts(),
            objects: &objects(),
            services: &[Arc::new(kubernetes.expect("a service"))],
            pod_ips: &["10.1.0.1".to_owned()],
        };
        Environment::of(&pod, container, sources).map_err(|why| why.to_string())
    }

    #[test]
    fn variables_come_from_everywhere() {
        for (container, name, expected) in [
            ("{name: c, env: [{name: X, value: y}]}", "X", Some("y")),
            (
                "{name: c, env: [{name: X, value: a}, {name: Y, value: '$(X)-$(Z)'}, {name: Z, value: z}]}",
                "Y",
                Some("a-$(Z)"),
            ),
            (
                "{name: c, env: [{name: X, value: '$(KUBERNETES_SERVICE_HOST)'}]}",
                "X",
                Some("10.0.0.1"),
            ),
            ("{name: c}", "KUBERNETES_SERVICE_PORT", Some("443")),
            (
                "{name: c, env: [{name: KUBERNETES_SERVICE_PORT, value: '1'}]}",
                "KUBERNETES_SERVICE_PORT",
                Some("1"),
            ),
            (
                "{name: c, env: [{name: X, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}]}",
                "X",
                Some("web"),
            ),
            (
                "{name: c, env: [{name: X, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]}",
                "X",
                Some("10.1.0.1"),
            ),
            (
                "{name: c, env: [{name: X, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]}",
                "X",
                Some("4"),
            ),
            (
                "{name: c, env: [{name: X, valueFrom: {configMapKeyRef: {name: cm, key: A}}}]}",
                "X",
                Some("cm-a"),
            ),
            (
                "{name: c, env: [{name: X, valueFrom: {secretKeyRef: {name: sec, key: B}}}]}",
                "X",
                Some("sec-b"),
            ),
            (
                "{name: c, env: [{name: X, valueFrom: {configMapKeyRef: {name: none, key: A, optional: true}}}]}",
                "X",
                None,
            ),
            (
                "{name: c, env: [{name: X, valueFrom: {secretKeyRef: {name: sec, key: none, optional: true}}}]}",
                "X",
                None,
            ),
            (
                "{name: c, envFrom: [{configMapRef: {name: cm}}, {secretRef: {name: sec}}]}",
                "B",
                Some("sec-b"),
            ),
            (
                "{name: c, envFrom: [{prefix: P_, configMapRef: {name: cm}}]}",
                "P_A",
                Some("cm-a"),
            ),
            (
                "{name: c, envFrom: [{configMapRef: {name: none, optional: true}}]}",
                "A",
                None,
            ),
            (
                "{name: c, envFrom: [{configMapRef: {name: cm}}], env: [{name: A, value: '$(B)!'}]}",
                "A",
                Some("cm-b!"),
            ),
        ] {
            let environment = made(container).expect("valid");
            assert_eq!(environment.text(name), expected, "{container}");
        }
    }

    #[test]
    fn what_is_missing_is_said_in_upstreams_words() {
        for (container, expected) in [
            (
                "{name: c, env: [{name: X, valueFrom: {configMapKeyRef: {name: none, key: A}}}]}",
                "configmap \"none\" not found",
            ),
            (
                "{name: c, env: [{name: X, valueFrom: {configMapKeyRef: {name: cm, key: Z}}}]}",
                "couldn't find key Z in ConfigMap ns/cm",
            ),
            (
                "{name: c, env: [{name: X, valueFrom: {secretKeyRef: {name: none, key: A}}}]}",
                "secret \"none\" not found",
            ),
            (
                "{name: c, env: [{name: X, valueFrom: {secretKeyRef: {name: sec, key: Z}}}]}",
                "couldn't find key Z in Secret ns/sec",
            ),
            (
                "{name: c, envFrom: [{secretRef: {name: none}}]}",
                "secret \"none\" not found",
            ),
        ] {
            assert_eq!(made(container), Err(expected.to_owned()), "{container}");
        }
    }

    #[test]
    fn bytes_of_a_secret_stay_what_they_are_and_are_not_shown() {
        let environment = made("{name: c, envFrom: [{secretRef: {name: sec}}]}").expect("valid");
        assert!(!format!("{environment:?}").contains("sec-b"));
        let raw = environment
            .into_runtime()
            .into_iter()
            .find(|v| v.key == "RAW");
        assert_eq!(raw.map(|v| v.value), Some(vec![0xff]));
    }
}
