//! Whole images: OCI layouts in one tar file, which `docker load` reads as well.

use std::io;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::archive::{Archive, Entry};
use super::files::{FilesError, Tree};
use super::reference::Reference;

/// The time of everything.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// How an image's program is started, where a pod does not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) entrypoint: Vec<String>,
    pub(crate) arguments: Vec<String>,
    /// As `NAME=value`.
    pub(crate) environment: Vec<String>,
    /// As `1000`, `1000:1000`, or empty for root.
    pub(crate) user: String,
    pub(crate) folder: String,
    /// As `53/udp`.
    pub(crate) ports: Vec<String>,
}

/// An image with one layer, as a tar file. The same files and configuration are the same bytes.
///
/// # Errors
/// When a path is too long for tar.
pub(crate) fn archive(
    reference: &Reference,
    files: &Tree,
    config: &Config,
) -> Result<Vec<u8>, FilesError> {
    let image = Image::new(reference, &files.layer()?, config);
    Ok(image.archive(Vec::new())?)
}

/// The parts of an image, by their paths in the file.
struct Image {
    parts: Vec<(String, Vec<u8>)>,
}

impl Image {
    fn new(reference: &Reference, layer: &[u8], config: &Config) -> Self {
        let name = reference.to_string();
        let layer_digest = digest(layer);
        let config = text(&configuration(config, &layer_digest));
        let config_digest = digest(&config);
        let manifest = text(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": part("application/vnd.oci.image.config.v1+json", &config_digest, config.len()),
            "layers": [part("application/vnd.oci.image.layer.v1.tar", &layer_digest, layer.len())],
        }));
        let manifest_digest = digest(&manifest);
        let mut entry = part(
            "application/vnd.oci.image.manifest.v1+json",
            &manifest_digest,
            manifest.len(),
        );
        let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        entry["annotations"] = json!({
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": tag,
        });
        entry["platform"] = json!({"architecture": architecture(), "os": "linux"});
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        });
        let docker = json!([{
            "Config": blob(&config_digest),
            "RepoTags": [name],
            "Layers": [blob(&layer_digest)],
        }]);
        let mut parts = vec![
            (blob(&config_digest), config),
            (blob(&layer_digest), layer.to_vec()),
            (blob(&manifest_digest), manifest),
        ];
        parts.sort();
        let layout = json!({"imageLayoutVersion": "1.0.0"});
        for (path, value) in [
            ("index.json", index),
            ("manifest.json", docker),
            ("oci-layout", layout),
        ] {
            parts.push((path.to_owned(), text(&value)));
        }
        Self { parts }
    }

    fn archive<W: io::Write>(&self, to: W) -> io::Result<W> {
        let mut archive = Archive::new(to);
        for folder in ["blobs", "blobs/sha256"] {
            archive.add(folder, Entry::Folder { mode: 0o755 })?;
        }
        for (path, content) in &self.parts {
            let mode = 0o644;
            archive.add(path, Entry::File { content, mode })?;
        }
        archive.finish()
    }
}

fn configuration(config: &Config, layer: &str) -> Value {
    let ports: serde_json::Map<String, Value> = config
        .ports
        .iter()
        .map(|port| (port.clone(), json!({})))
        .collect();
    let mut environment = config.environment.clone();
    if !environment
        .iter()
        .any(|variable| variable.starts_with("PATH="))
    {
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        environment.insert(0, path.to_owned());
    }
    json!({
        "architecture": architecture(),
        "os": "linux",
        "created": CREATED,
        "config": {
            "Entrypoint": config.entrypoint,
            "Cmd": config.arguments,
            "Env": environment,
            "User": config.user,
            "WorkingDir": config.folder,
            "ExposedPorts": ports,
        },
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [{"created": CREATED, "created_by": "mainstay image build"}],
    })
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn part(media: &str, digest: &str, size: usize) -> Value {
    json!({"mediaType": media, "digest": digest, "size": size})
}

fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

fn digest(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_image_is_the_same_file_and_another_one_is_not() {
        let name: Reference = "test:1".parse().expect("it is a name");
        let mut files = Tree::default();
        files.file("bin/a", b"a".to_vec(), 0o755).expect("it fits");
        let config = Config {
            entrypoint: vec!["/bin/a".to_owned()],
            ports: vec!["53/udp".to_owned()],
            ..Config::default()
        };
        let made = |config| archive(&name, &files, config).expect("it can be written");
        assert_eq!(made(&config), made(&config));
        assert_ne!(made(&config), made(&Config::default()));
    }
}
