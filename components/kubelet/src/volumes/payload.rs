//! Files of a volume from the objects it names.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, ProjectedVolumeSource, Secret,
    ServiceAccountTokenProjection, Volume, VolumeProjection,
};

use super::atomic_writer::{Payload, ProjectedFile};
use crate::spec::{ConfigError, NodeFacts, Objects, amount, file_field};

/// What files are made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct PayloadSources<'a> {
    pub(super) pod: &'a Pod,
    pub(super) node: &'a NodeFacts,
    pub(super) objects: &'a Objects,
    /// Tokens of the volume, in the order of [`token_sources`].
    pub(super) tokens: &'a [String],
}

/// Permission bits of files that name none.
const MODE: i32 = 0o644;

/// The files of a configMap, secret, downwardAPI or projected volume.
///
/// # Errors
/// If an object or a key is missing and not optional. All that is missing is named.
pub(super) fn payload(volume: &Volume, from: PayloadSources<'_>) -> Result<Payload, ConfigError> {
    if let Some(source) = &volume.config_map {
        let mode = source.default_mode.unwrap_or(MODE);
        let optional = source.optional == Some(true);
        return config_map(
            &source.name,
            source.items.as_deref(),
            mode,
            optional,
            from.objects,
        );
    }
    if let Some(source) = &volume.secret {
        let mode = source.default_mode.unwrap_or(MODE);
        let optional = source.optional == Some(true);
        let name = source.secret_name.as_deref().unwrap_or_default();
        return secret(name, source.items.as_deref(), mode, optional, from.objects);
    }
    if let Some(source) = &volume.downward_api {
        let mode = source.default_mode.unwrap_or(MODE);
        let mut errors = Vec::new();
        let files = downward(source.items.as_deref(), mode, from, &mut errors);
        return aggregate(files, errors);
    }
    match &volume.projected {
        Some(source) => projected(source, from),
        None => Ok(Payload::new()),
    }
}

/// The tokens that a volume asks for.
pub(super) fn token_sources(
    volume: &Volume,
) -> impl Iterator<Item = &ServiceAccountTokenProjection> {
    let sources = volume.projected.as_ref().and_then(|p| p.sources.as_ref());
    let tokens = |source: &'_ VolumeProjection| source.service_account_token.is_some();
    sources
        .into_iter()
        .flatten()
        .filter(move |source| tokens(source))
        .filter_map(|source| source.service_account_token.as_ref())
}

fn projected(
    source: &ProjectedVolumeSource,
    from: PayloadSources<'_>,
) -> Result<Payload, ConfigError> {
    let mode = source.default_mode.unwrap_or(MODE);
    let mut all = Payload::new();
    let mut errors = Vec::new();
    let mut tokens = from.tokens.iter();
    for one in source.sources.iter().flatten() {
        let files = if let Some(s) = &one.secret {
            secret(
                &s.name,
                s.items.as_deref(),
                mode,
                s.optional == Some(true),
                from.objects,
            )
        } else if let Some(s) = &one.config_map {
            config_map(
                &s.name,
                s.items.as_deref(),
                mode,
                s.optional == Some(true),
                from.objects,
            )
        } else if let Some(s) = &one.downward_api {
            Ok(downward(s.items.as_deref(), mode, from, &mut errors))
        } else if let Some(s) = &one.service_account_token {
            token(&s.path, tokens.next(), mode, from.pod)
        } else {
            let why = "a projected volume's source is of a kind that this kubelet does not support";
            Err(ConfigError::new(why))
        };
        match files {
            Ok(files) => all.extend(files),
            Err(error) => errors.push(error),
        }
    }
    aggregate(all, errors)
}

fn aggregate(files: Payload, mut errors: Vec<ConfigError>) -> Result<Payload, ConfigError> {
    errors.dedup();
    match errors.len() {
        0 => Ok(files),
        1 => Err(errors.remove(0)),
        _ => {
            let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Err(ConfigError::new(format!("[{}]", all.join(", "))))
        }
    }
}

fn config_map(
    name: &str,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: bool,
    objects: &Objects,
) -> Result<Payload, ConfigError> {
    let empty = ConfigMap::default();
    let map = match objects.config_map(name) {
        Ok(map) => map,
        Err(_) if optional => &empty,
        Err(error) => return Err(error),
    };
    let texts = map.data.iter().flatten();
    let texts = texts.map(|(key, text)| (key.as_str(), text.as_bytes()));
    let bytes = map.binary_data.iter().flatten();
    let bytes = bytes.map(|(key, ByteString(bytes))| (key.as_str(), bytes.as_slice()));
    // Text wins; the apiserver lets no key be both.
    let all: Vec<_> = bytes.chain(texts).collect();
    chosen(&all, items, mode, optional).map_err(|key| {
        ConfigError::new(format!(
            "configmap references non-existent config key: {key}"
        ))
    })
}

fn secret(
    name: &str,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: bool,
    objects: &Objects,
) -> Result<Payload, ConfigError> {
    let empty = Secret::default();
    let secret = match objects.secret(name) {
        Ok(secret) => secret,
        Err(_) if optional => &empty,
        Err(error) => return Err(error),
    };
    let all = secret.data.iter().flatten();
    let all: Vec<_> = all
        .map(|(key, ByteString(bytes))| (key.as_str(), bytes.as_slice()))
        .collect();
    chosen(&all, items, mode, optional)
        .map_err(|key| ConfigError::new(format!("references non-existent secret key: {key}")))
}

/// All keys under their names, or the chosen ones under theirs; else the key that is missing.
fn chosen(
    all: &[(&str, &[u8])],
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: bool,
) -> Result<Payload, String> {
    let mut files = Payload::new();
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        for (key, data) in all {
            files.insert((*key).to_owned(), file(data.to_vec(), mode));
        }
        return Ok(files);
    };
    for item in items {
        match all.iter().rev().find(|(key, _)| *key == item.key) {
            Some((_, data)) => {
                let file = file(data.to_vec(), item.mode.unwrap_or(mode));
                files.insert(item.path.clone(), file);
            }
            None if optional => {}
            None => return Err(item.key.clone()),
        }
    }
    Ok(files)
}

fn downward(
    items: Option<&[DownwardAPIVolumeFile]>,
    mode: i32,
    from: PayloadSources<'_>,
    errors: &mut Vec<ConfigError>,
) -> Payload {
    let mut files = Payload::new();
    for item in items.unwrap_or_default() {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => file_field(from.pod, &field.field_path),
            (_, Some(selector)) => amount(selector, from.pod, None, from.node),
            (None, None) => Ok(String::new()),
        };
        match text {
            Ok(text) => {
                let file = file(text.into_bytes(), item.mode.unwrap_or(mode));
                files.insert(item.path.clone(), file);
            }
            Err(error) => errors.push(error),
        }
    }
    files
}

/// Readable for its pod's user alone, where that user or the volume's group is known.
fn token(path: &str, token: Option<&String>, mode: i32, pod: &Pod) -> Result<Payload, ConfigError> {
    let Some(token) = token else {
        return Err(ConfigError::new(format!("no token for {path}")));
    };
    let owner = only_user(pod);
    let spec = pod.spec.as_ref();
    let group = spec.and_then(|spec| spec.security_context.as_ref()?.fs_group);
    let mode = match owner.is_some() || group.is_some() {
        true => 0o600,
        false => mode,
    };
    let mut file = file(token.clone().into_bytes(), mode);
    file.owner = owner;
    Ok(Payload::from([(path.to_owned(), file)]))
}

/// The user that all containers of a pod run as, if the pod says so.
fn only_user(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let default = spec.security_context.as_ref().and_then(|c| c.run_as_user);
    let init = spec.init_containers.iter().flatten();
    let mut users = init.chain(&spec.containers).map(|container| {
        let own = container.security_context.as_ref();
        own.and_then(|own| own.run_as_user).or(default)
    });
    let first = users.next()??;
    let same = users.all(|user| user == Some(first));
    same.then(|| u32::try_from(first).ok()).flatten()
}

fn file(data: Vec<u8>, mode: i32) -> ProjectedFile {
    ProjectedFile {
        data,
        mode: u32::try_from(mode).unwrap_or(0) & 0o777,
        owner: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::spec::tests::{config_map, facts, pod, secret};

    fn made(spec: &str) -> Result<Vec<String>, String> {
        let objects = Objects {
            config_maps: BTreeMap::from([(
                "cm".to_owned(),
                config_map("{data: {a: text}, binaryData: {b: /w==}}"),
            )]),
            secrets: BTreeMap::from([("sec".to_owned(), secret("{data: {k: dmFs}}"))]),
        };
        let mut pod = pod(spec);
        pod.metadata.labels = Some(BTreeMap::from([("app".into(), "web".into())]));
        let volume = pod
            .spec
            .as_ref()
            .and_then(|s| s.volumes.as_ref())
            .expect("some")[0]
            .clone();
        let tokens: Vec<_> = (0..token_sources(&volume).count())
            .map(|n| format!("token-{n}"))
            .collect();
        let from = PayloadSources {
            pod: &pod,
            node: &facts(),
            objects: &objects,
            tokens: &tokens,
        };
        let files = payload(&volume, from).map_err(|why| why.to_string())?;
        let shown = files.into_iter().map(|(path, f)| {
            let owner = f.owner.map(|o| format!(" {o}")).unwrap_or_default();
            format!(
                "{path} {:o}{owner} {}",
                f.mode,
                String::from_utf8_lossy(&f.data)
            )
        });
        Ok(shown.collect())
    }

    #[test]
    fn files_of_volumes() {
        for (volume, expected) in [
            (
                "configMap: {name: cm}",
                vec!["a 644 text", "b 644 \u{fffd}"],
            ),
            (
                "configMap: {name: cm, defaultMode: 256, items: [{key: a, path: x/y, mode: 511}, {key: b, path: z}]}",
                vec!["x/y 777 text", "z 400 \u{fffd}"],
            ),
            ("configMap: {name: none, optional: true}", vec![]),
            (
                "configMap: {name: cm, optional: true, items: [{key: none, path: x}]}",
                vec![],
            ),
            (
                "secret: {secretName: sec, defaultMode: 288}",
                vec!["k 440 val"],
            ),
            (
                "downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, \
                 {path: cpu, mode: 256, resourceFieldRef: {containerName: m, resource: limits.cpu}}]}",
                vec!["cpu 400 4", "labels 644 app=\"web\""],
            ),
            (
                "projected: {sources: [{serviceAccountToken: {path: token}}, {configMap: {name: cm, items: [{key: a, path: ca.crt}]}}, \
                 {downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}}, \
                 {serviceAccountToken: {path: other}}, {secret: {name: sec}}]}",
                vec![
                    "ca.crt 644 text",
                    "k 644 val",
                    "namespace 644 ns",
                    "other 644 token-1",
                    "token 644 token-0",
                ],
            ),
        ] {
            let spec = format!("volumes: [{{name: v, {volume}}}]\ncontainers: [{{name: m}}]");
            let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(made(&spec), Ok(expected), "{volume}");
        }
    }

    #[test]
    fn a_token_is_its_users_alone() {
        let volume =
            "volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]";
        for (context, expected) in [
            (
                "securityContext: {runAsUser: 7}\ncontainers: [{name: m}, {name: n}]",
                "t 600 7 token-0",
            ),
            (
                "securityContext: {fsGroup: 9}\ncontainers: [{name: m}]",
                "t 600 token-0",
            ),
            (
                "securityContext: {runAsUser: 7}\ncontainers: [{name: m}, {name: n, securityContext: {runAsUser: 8}}]",
                "t 644 token-0",
            ),
            (
                "containers: [{name: m, securityContext: {runAsUser: 8}}, {name: n}]",
                "t 644 token-0",
            ),
        ] {
            let spec = format!("{volume}\n{context}");
            assert_eq!(made(&spec), Ok(vec![expected.to_owned()]), "{context}");
        }
    }

    #[test]
    fn all_that_is_missing_is_named_in_upstreams_words() {
        for (volume, expected) in [
            ("configMap: {name: none}", "configmap \"none\" not found"),
            (
                "configMap: {name: cm, items: [{key: x, path: y}]}",
                "configmap references non-existent config key: x",
            ),
            ("secret: {secretName: none}", "secret \"none\" not found"),
            (
                "secret: {secretName: sec, items: [{key: x, path: y}]}",
                "references non-existent secret key: x",
            ),
            (
                "projected: {sources: [{configMap: {name: none}}, {secret: {name: none}}]}",
                "[configmap \"none\" not found, secret \"none\" not found]",
            ),
        ] {
            let spec = format!("volumes: [{{name: v, {volume}}}]\ncontainers: []");
            assert_eq!(made(&spec), Err(expected.to_owned()), "{volume}");
        }
    }
}
