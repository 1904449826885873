//! What kinds of volumes there are, and which objects a pod's volumes and variables come from.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, Pod, Volume};

/// A kind of volume, under upstream's name for what makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    EmptyDir,
    HostPath,
    ConfigMap,
    Secret,
    Projected,
    DownwardApi,
}

impl Plugin {
    /// Which kind a volume is; none if this kubelet cannot make it.
    #[must_use]
    pub fn of(volume: &Volume) -> Option<Self> {
        Some(match volume {
            Volume {
                empty_dir: Some(_), ..
            } => Self::EmptyDir,
            Volume {
                host_path: Some(_), ..
            } => Self::HostPath,
            Volume {
                config_map: Some(_),
                ..
            } => Self::ConfigMap,
            Volume {
                secret: Some(_), ..
            } => Self::Secret,
            Volume {
                projected: Some(_), ..
            } => Self::Projected,
            Volume {
                downward_api: Some(_),
                ..
            } => Self::DownwardApi,
            _ => return None,
        })
    }

    /// As in the paths below a pod's `volumes`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EmptyDir => "kubernetes.io/empty-dir",
            Self::HostPath => "kubernetes.io/host-path",
            Self::ConfigMap => "kubernetes.io/configmap",
            Self::Secret => "kubernetes.io/secret",
            Self::Projected => "kubernetes.io/projected",
            Self::DownwardApi => "kubernetes.io/downward-api",
        }
    }

    /// Whether its files are written by the kubelet and follow their sources.
    #[must_use]
    pub fn is_projected(self) -> bool {
        !matches!(self, Self::EmptyDir | Self::HostPath)
    }

    /// Whether its files must not reach a disk.
    #[must_use]
    pub fn in_memory(self) -> bool {
        matches!(self, Self::Secret | Self::Projected | Self::DownwardApi)
    }
}

/// Names of objects in the pod's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    pub config_maps: BTreeSet<String>,
    pub secrets: BTreeSet<String>,
}

impl References {
    /// Of all volumes, variables and image pulls of a pod: what its node may read.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        let mut found = Self::default();
        let Some(spec) = &pod.spec else {
            return found;
        };
        for volume in spec.volumes.iter().flatten() {
            found.add_volume(volume);
        }
        let init = spec.init_containers.iter().flatten();
        for container in init.chain(&spec.containers) {
            found.add_environment(container);
        }
        for secret in spec.image_pull_secrets.iter().flatten() {
            found.secrets.insert(secret.name.clone());
        }
        found.secrets.remove("");
        found.config_maps.remove("");
        found
    }

    /// Of one volume.
    #[must_use]
    pub fn of_volume(volume: &Volume) -> Self {
        let mut found = Self::default();
        found.add_volume(volume);
        found
    }

    /// Of one container's variables.
    #[must_use]
    pub fn of_environment(container: &Container) -> Self {
        let mut found = Self::default();
        found.add_environment(container);
        found
    }

    fn add_volume(&mut self, volume: &Volume) {
        if let Some(source) = &volume.config_map {
            self.config_maps.insert(source.name.clone());
        }
        if let Some(name) = volume.secret.as_ref().and_then(|s| s.secret_name.clone()) {
            self.secrets.insert(name);
        }
        let projected = volume.projected.as_ref().and_then(|p| p.sources.as_ref());
        for source in projected.into_iter().flatten() {
            if let Some(source) = &source.config_map {
                self.config_maps.insert(source.name.clone());
            }
            if let Some(source) = &source.secret {
                self.secrets.insert(source.name.clone());
            }
        }
    }

    fn add_environment(&mut self, container: &Container) {
        for source in container.env_from.iter().flatten() {
            self.config_maps
                .extend(source.config_map_ref.iter().map(|r| r.name.clone()));
            self.secrets
                .extend(source.secret_ref.iter().map(|r| r.name.clone()));
        }
        let sources = container
            .env
            .iter()
            .flatten()
            .filter_map(|v| v.value_from.as_ref());
        for source in sources {
            self.config_maps
                .extend(source.config_map_key_ref.iter().map(|r| r.name.clone()));
            self.secrets
                .extend(source.secret_key_ref.iter().map(|r| r.name.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::pod;

    #[test]
    fn every_object_a_pod_names_is_found() {
        let pod = pod("imagePullSecrets: [{name: s-pull}, {name: ''}]\n\
             volumes: [{name: a, configMap: {name: c-vol}}, {name: b, secret: {secretName: s-vol}}, \
             {name: p, projected: {sources: [{configMap: {name: c-proj}}, {secret: {name: s-proj}}, \
             {serviceAccountToken: {path: t}}]}}, {name: e, emptyDir: {}}]\n\
             initContainers: [{name: i, envFrom: [{configMapRef: {name: c-from}}, {secretRef: {name: s-from}}]}]\n\
             containers: [{name: m, env: [{name: X, value: y}, \
             {name: A, valueFrom: {configMapKeyRef: {name: c-key, key: k}}}, \
             {name: B, valueFrom: {secretKeyRef: {name: s-key, key: k}}}]}]");
        let found = References::of(&pod);
        let texts = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(texts(&found.config_maps), "c-from c-key c-proj c-vol");
        assert_eq!(texts(&found.secrets), "s-from s-key s-proj s-pull s-vol");
        let volumes = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.volumes.as_ref())
            .expect("some");
        let kinds: Vec<_> = volumes
            .iter()
            .map(|v| Plugin::of(v).map(Plugin::name))
            .collect();
        assert_eq!(
            kinds,
            [
                Some("kubernetes.io/configmap"),
                Some("kubernetes.io/secret"),
                Some("kubernetes.io/projected"),
                Some("kubernetes.io/empty-dir"),
            ]
        );
    }
}
