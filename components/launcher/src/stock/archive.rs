//! Archives of one image, in the form of `docker save`.

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Of a tar file.
const BLOCK: usize = 512;
/// Longest name in the simple form of tar that is written here.
const NAME_MAX: usize = 99;

/// Something in an image's file system. Paths have no slash at their beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Folder(String),
    Program(String, Vec<u8>),
    Link(String, String),
}

/// An image to be.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// As pods name it.
    pub(super) name: &'static str,
    pub(super) entries: Vec<Entry>,
    pub(super) entrypoint: Vec<String>,
}

/// The same bytes for the same recipe.
pub(super) fn archive(recipe: &Recipe) -> Result<Vec<u8>> {
    let mut layer = Vec::new();
    for entry in &recipe.entries {
        match entry {
            Entry::Folder(name) => put(&mut layer, &format!("{name}/"), b'5', 0o755, &[], "")?,
            Entry::Program(name, bytes) => put(&mut layer, name, b'0', 0o755, bytes, "")?,
            Entry::Link(name, target) => put(&mut layer, name, b'2', 0o777, &[], target)?,
        }
    }
    end(&mut layer);
    let digest = Sha256::digest(&layer);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": recipe.entrypoint, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!([
        {"Config": "config.json", "RepoTags": [recipe.name], "Layers": ["layer.tar"]}
    ]);
    let mut archive = Vec::new();
    for (name, bytes) in [
        ("manifest.json", manifest.to_string().into_bytes()),
        ("config.json", config.to_string().into_bytes()),
        ("layer.tar", layer),
    ] {
        put(&mut archive, name, b'0', 0o644, &bytes, "")?;
    }
    end(&mut archive);
    Ok(archive)
}

/// One file in ustar's form: a header of fixed fields, and blocks.
fn put(tar: &mut Vec<u8>, name: &str, kind: u8, mode: u32, bytes: &[u8], link: &str) -> Result<()> {
    if name.len() > NAME_MAX || link.len() > NAME_MAX {
        bail!("{name} is too long a name for an archive");
    }
    let mut header = [0_u8; BLOCK];
    let mut field = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    field(0, name.as_bytes());
    field(100, format!("{mode:07o}").as_bytes());
    field(108, b"0000000");
    field(116, b"0000000");
    field(124, format!("{:011o}", bytes.len()).as_bytes());
    field(136, b"00000000000");
    field(148, b"        ");
    field(156, &[kind]);
    field(157, link.as_bytes());
    field(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    tar.extend_from_slice(&header);
    tar.extend_from_slice(bytes);
    let padding = bytes.len().next_multiple_of(BLOCK) - bytes.len();
    tar.resize(tar.len().checked_add(padding).context("too long")?, 0);
    Ok(())
}

fn end(tar: &mut Vec<u8>) {
    tar.resize(tar.len() + 2 * BLOCK, 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::run;

    #[test]
    fn tar_reads_what_was_written() {
        let recipe = Recipe {
            name: "example.com/a:1",
            entries: vec![
                Entry::Folder("bin".to_owned()),
                Entry::Program("bin/a".to_owned(), vec![b'x'; 1_000]),
                Entry::Link("bin/b".to_owned(), "a".to_owned()),
            ],
            entrypoint: vec!["/bin/a".to_owned()],
        };
        let bytes = archive(&recipe).expect("made");
        assert_eq!(bytes, archive(&recipe).expect("made again"));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.tar");
        std::fs::write(&path, bytes).expect("written");
        let at = folder.path().display().to_string();
        let tar = path.display().to_string();
        let listed = run("tar", &["-C", &at, "-xvf", &tar]).expect("tar reads it");
        assert_eq!(listed, "manifest.json\nconfig.json\nlayer.tar\n");
        let layer = folder.path().join("layer.tar").display().to_string();
        let listed = run("tar", &["-tf", &layer]).expect("tar reads it");
        assert_eq!(listed, "bin/\nbin/a\nbin/b\n");
        let sum = run("sha256sum", &[&layer]).expect("it runs");
        let config = std::fs::read_to_string(folder.path().join("config.json")).expect("there");
        let sum = sum.split(' ').next().expect("a sum");
        assert!(config.contains(sum), "{config}");
    }
}
