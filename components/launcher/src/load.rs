//! Images from files: there need be no registry.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::cluster::{Cluster, Host};
use crate::files;
use crate::host::{Power, Process};
use crate::limits::{POLL_PAUSE, RUNTIME_PATIENCE};
use crate::screen::say;

/// Where a host notes which files it has seen: their names, with size and time.
const NOTE: &str = "var/lib/mainstay/images.json";

/// Size and time of a file.
type Mark = (u64, i64);
type Seen = BTreeMap<String, Mark>;
type Archives = BTreeMap<String, (PathBuf, Mark)>;

/// `mainstay image load`: keeps the files for workers to come, and gives them to those that are on.
pub(crate) fn load(root: &Path, archives: &[PathBuf]) -> Result<()> {
    let cluster = Cluster::there(root)?;
    let folder = cluster.folders().images();
    files::folder(&folder)?;
    for archive in archives {
        let name = archive.file_name().context("an archive has no name")?;
        let bytes = fs::read(archive).with_context(|| archive.display().to_string())?;
        files::update(&folder.join(name), &bytes, 0o644)?;
    }
    for host in cluster.workers() {
        let power = Power {
            cluster: &cluster,
            host,
        };
        match power.first() {
            Some(first) => give(&cluster, host, first)?,
            None => say(format!(
                "{} is off: it gets them when 'mainstay up' starts it",
                host.name
            )),
        }
    }
    Ok(())
}

/// Gives a worker the images in the folder that it has not seen.
pub(crate) fn give(cluster: &Cluster, host: &Host, first: Process) -> Result<()> {
    let archives = archives(&cluster.folders().images())?;
    let note = cluster.folders().disk(&host.name).join(NOTE);
    let seen: Seen = fs::read(&note)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    if archives.keys().eq(seen.keys()) && archives.values().map(|(_, mark)| mark).eq(seen.values())
    {
        return Ok(());
    }
    listens(first)?;
    let mut now = Seen::new();
    for (name, (path, mark)) in archives {
        if seen.get(&name) != Some(&mark) {
            import(first, &path).with_context(|| format!("{name} on {}", host.name))?;
            say(format!("{} has the images of {name}", host.name));
        }
        now.insert(name, mark);
    }
    let text = serde_json::to_vec(&now).context("a note")?;
    files::write(&note, &text, 0o644)
}

fn archives(folder: &Path) -> Result<Archives> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(found);
    };
    for entry in entries {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".tar") {
            let about = fs::metadata(&path).with_context(|| path.display().to_string())?;
            found.insert(name, (path, (about.len(), about.mtime())));
        }
    }
    Ok(found)
}

/// Waits until a host's runtime answers.
fn listens(first: Process) -> Result<()> {
    let socket = first.file("root/run/containerd/containerd.sock");
    let begun = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        if begun.elapsed() > RUNTIME_PATIENCE {
            bail!("containerd does not answer at {}", socket.display());
        }
        std::thread::sleep(POLL_PAUSE);
    }
    Ok(())
}

fn import(first: Process, archive: &Path) -> Result<()> {
    let file = fs::File::open(archive).with_context(|| archive.display().to_string())?;
    let output = Command::new("nsenter")
        .args([
            "--target",
            &first.pid.to_string(),
            "--all",
            "--root",
            "--wd",
            "--",
        ])
        .args(["ctr", "--namespace", "k8s.io", "images", "import", "-"])
        .stdin(Stdio::from(file))
        .output()
        .context("nsenter")?;
    match output.status.success() {
        true => Ok(()),
        false => bail!("ctr: {}", String::from_utf8_lossy(&output.stderr).trim()),
    }
}
