//! Rules of the source tree that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines a source file may have before it no longer fits in one head.
const FILE_LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
        .to_owned()
}

/// Every source file of the workspace.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["kvstore", "bench", "jepsen", "tests"]
        .map(|f| root().join(f))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("readable folder") {
            let path = entry.expect("readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    assert!(
        found.len() > 100,
        "the walk found only {} files",
        found.len()
    );
    found
}

#[test]
fn source_files_fit_in_one_head() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter_map(|path| {
            let lines = fs::read_to_string(&path).expect("text").lines().count();
            (lines > FILE_LINES_MAX).then(|| format!("{} has {lines} lines", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// Rule 1 of ARCHITECTURE.md's map: one crate names the storage engine.
#[test]
fn only_the_engine_crate_names_rocksdb() {
    let allowed = root().join("kvstore/engine/rocks");
    let naming: Vec<_> = sources()
        .into_iter()
        .filter(|path| !path.starts_with(&allowed))
        .filter(|path| {
            fs::read_to_string(path)
                .expect("text")
                .contains(concat!("rocks", "db::"))
        })
        .collect();
    assert!(naming.is_empty(), "{naming:?}");
}

/// The machine's own target triple.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.expect("rustc runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc names its host").to_owned()
}

/// What cargo would build below RocksDB's binding for a choice of packages: names, versions, features.
fn below_rocksdb(choice: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args([
            "tree",
            "--offline",
            // Without a target, what is built for build scripts and for the program is shown as one.
            "--target",
            &host(),
            "--no-dedupe",
            "--prefix",
            "depth",
            "-f",
            " {p} {f}",
        ])
        .args(choice)
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Packages of the workspace are separated by empty lines.
    let lines = text.lines().filter(|line| !line.is_empty());
    let mut lines = lines.map(|line| {
        let (depth, rest) = line.split_once(' ').expect("depth and package");
        (depth.parse::<usize>().unwrap_or(0), rest.to_owned())
    });
    let top = lines
        .by_ref()
        .find(|(_, package)| package.starts_with("librocksdb-sys "))
        .expect("the binding is part of every choice")
        .0;
    let mut found: Vec<String> = lines
        .take_while(|(depth, _)| *depth > top)
        .map(|(_, package)| package)
        .collect();
    found.sort();
    found.dedup();
    found
}

/// RocksDB was compiled again, for ten minutes, whenever a command named other packages than the one
/// before: the features of its build dependencies are united over the packages named.
#[test]
fn every_command_builds_the_same_rocksdb() {
    let alone = below_rocksdb(&["-p", "mainstay-engine-rocks", "-e", "normal,build"]);
    for choice in [
        ["-p", "kvstore", "-e", "normal,build"].as_slice(),
        ["--workspace", "-e", "normal,build"].as_slice(),
        ["--workspace", "-e", "normal,build,dev"].as_slice(),
    ] {
        assert_eq!(
            below_rocksdb(choice),
            alone,
            "add what {choice:?} needs to the build dependencies of kvstore/engine/rocks"
        );
    }
}
