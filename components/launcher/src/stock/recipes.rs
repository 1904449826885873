//! Which images, and what is in them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command::{find, run};
use crate::images::{Config, Tree, archive, pause};
use crate::{doctor, files};

/// What a pod's namespaces hang on, under the name by which the runtime knows it.
pub(crate) const PAUSE: &str = "registry.k8s.io/pause:3.10";
/// A shell, a web server and other small programs.
pub(crate) const BUSYBOX: &str = "mainstay.io/busybox:local";
/// The cluster's DNS.
pub(crate) const DNS: &str = "mainstay.io/dns:local";

/// Writes the archives into a folder of images; only what has changed.
pub(crate) fn fill(folder: &Path) -> Result<()> {
    files::folder(folder)?;
    let busybox = find("busybox").context("there is no busybox: install busybox-static")?;
    let mut images = vec![
        (PAUSE, pause()?),
        (BUSYBOX, (applets(&busybox)?, Config::default())),
    ];
    if let Ok(dns) = doctor::own("dns") {
        let mut tree = Tree::default();
        tree.program(&dns, "bin/dns")?;
        let config = Config {
            entrypoint: vec!["/bin/dns".to_owned()],
            ..Config::default()
        };
        images.push((DNS, (tree, config)));
    }
    for (name, (tree, config)) in images {
        let bytes = archive(&name.parse()?, &tree, &config);
        let bytes = bytes.with_context(|| format!("the image {name}"))?;
        files::update(&folder.join(file_name(name)), &bytes, 0o644)?;
    }
    Ok(())
}

/// Images and their archives, of those that are in the folder.
pub(crate) fn archives(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let all = [PAUSE, BUSYBOX, DNS].map(|name| (name, folder.join(file_name(name))));
    all.into_iter().filter(|(_, path)| path.exists()).collect()
}

/// Takes these archives away again; those that somebody loaded stay.
pub(crate) fn clear(folder: &Path) {
    for name in [PAUSE, BUSYBOX, DNS] {
        // Not every machine could make all of them.
        let _ = fs::remove_file(folder.join(file_name(name)));
    }
}

/// `example.com/a:1` is in `a-1.tar`.
fn file_name(image: &str) -> String {
    let short = image.rsplit('/').next().unwrap_or(image);
    format!("{}.tar", short.replace(':', "-"))
}

/// Busybox, and a link to it for everything it can be.
fn applets(busybox: &Path) -> Result<Tree> {
    let list = run(&busybox.display().to_string(), &["--list"])?;
    let mut tree = Tree::default();
    tree.program(busybox, "bin/busybox")?;
    for folder in ["etc", "proc", "sys", "dev"] {
        tree.folder(folder, 0o755)?;
    }
    tree.folder("tmp", 0o1777)?;
    for name in list.lines().filter(|name| *name != "busybox") {
        tree.link(&format!("bin/{name}"), "busybox")?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_out_as_the_runtime_has_them() {
        for name in [PAUSE, BUSYBOX, DNS] {
            let reference: crate::images::Reference = name.parse().expect("it is a name");
            assert_eq!(reference.to_string(), name);
        }
    }
}
