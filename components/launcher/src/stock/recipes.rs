//! Which images, and what is in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::archive::{Entry, Recipe, archive};
use crate::cluster::Cluster;
use crate::command::{find, run};
use crate::{doctor, files};

/// What a pod's namespaces hang on, under the name by which the runtime knows it.
pub(crate) const PAUSE: &str = "registry.k8s.io/pause:3.10";
/// A shell, a web server and other small programs.
pub(crate) const BUSYBOX: &str = "mainstay.io/busybox:local";
/// The cluster's DNS.
pub(crate) const DNS: &str = "mainstay.io/dns:local";

/// It must not end, and takes over whom others leave behind.
const WAIT: &str = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done";

/// Writes the archives into the cluster's folder of images; only what has changed.
pub(crate) fn fill(cluster: &Cluster) -> Result<()> {
    let folder = cluster.folders().images();
    files::folder(&folder)?;
    let busybox = find("busybox").context("there is no busybox: install busybox-static")?;
    let applets = applets(&busybox)?;
    let mut recipes = vec![
        Recipe {
            name: PAUSE,
            entries: applets.clone(),
            entrypoint: ["/bin/sh", "-c", WAIT].map(String::from).to_vec(),
        },
        Recipe {
            name: BUSYBOX,
            entries: applets,
            entrypoint: Vec::new(),
        },
    ];
    if let Ok(dns) = doctor::own("dns") {
        recipes.push(Recipe {
            name: DNS,
            entries: with_libraries(&dns, "bin/dns")?,
            entrypoint: vec!["/bin/dns".to_owned()],
        });
    }
    for recipe in recipes {
        let bytes = archive(&recipe).with_context(|| format!("the image {}", recipe.name))?;
        files::update(&folder.join(file_name(recipe.name)), &bytes, 0o644)?;
    }
    Ok(())
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
fn applets(busybox: &Path) -> Result<Vec<Entry>> {
    let list = run(&busybox.display().to_string(), &["--list"])?;
    let mut entries = with_libraries(busybox, "bin/busybox")?;
    for folder in ["tmp", "etc", "proc", "sys", "dev"] {
        entries.push(Entry::Folder(folder.to_owned()));
    }
    let names: BTreeSet<&str> = list.lines().filter(|name| *name != "busybox").collect();
    for name in names {
        entries.push(Entry::Link(format!("bin/{name}"), "busybox".to_owned()));
    }
    Ok(entries)
}

/// A program under another path, and the libraries it asks for under theirs.
fn with_libraries(program: &Path, path: &str) -> Result<Vec<Entry>> {
    let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
    let mut entries = vec![
        Entry::Folder("bin".to_owned()),
        Entry::Program(path.to_owned(), read(program)?),
    ];
    // It fails for programs that need none.
    let said = run("ldd", &[&program.display().to_string()]).unwrap_or_default();
    let mut folders = BTreeSet::from(["bin".to_owned()]);
    for library in libraries(&said) {
        let inside = library.trim_start_matches('/');
        let above: Vec<&Path> = Path::new(inside).ancestors().skip(1).collect();
        for folder in above.into_iter().rev() {
            let folder = folder.display().to_string();
            if !folder.is_empty() && folders.insert(folder.clone()) {
                entries.push(Entry::Folder(folder));
            }
        }
        entries.push(Entry::Program(inside.to_owned(), read(Path::new(library))?));
    }
    Ok(entries)
}

/// Paths in the answer of ldd: those after an arrow, and the loader's own.
fn libraries(said: &str) -> Vec<&str> {
    let words = said.lines().filter_map(|line| {
        let line = line.trim();
        let path = line.split(" => ").last()?.split(" (").next()?.trim();
        path.starts_with('/').then_some(path)
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_those_with_paths() {
        let said = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(libraries(said), expected);
        assert!(libraries("\tnot a dynamic executable\n").is_empty());
    }

    #[test]
    fn a_program_comes_with_what_it_needs_to_start() {
        let shell = fs::canonicalize("/bin/sh").expect("every machine has one");
        let entries = with_libraries(&shell, "bin/sh").expect("made");
        assert!(matches!(&entries[1], Entry::Program(name, _) if name == "bin/sh"));
        let mut seen = BTreeSet::new();
        for entry in entries {
            let (Entry::Folder(name) | Entry::Program(name, _) | Entry::Link(name, _)) = entry;
            let above = Path::new(&name)
                .parent()
                .map(|above| above.display().to_string());
            let above = above.unwrap_or_default();
            assert!(
                above.is_empty() || seen.contains(&above),
                "{name} has no folder"
            );
            seen.insert(name);
        }
    }
}
