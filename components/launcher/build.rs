//! Builds `pause`, which goes into an image without anything else: static, by the compiler itself, for the standard
//! library has no way to build one program of a package static and the others not.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=pause/main.rs");
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let to = PathBuf::from(variable("OUT_DIR")).join("pause");
    let built = Command::new(variable("RUSTC"))
        .args(["--edition=2024", "--crate-name=pause", "--crate-type=bin"])
        .args(["--target", &variable("TARGET")])
        .args(["-Ctarget-feature=+crt-static", "-Crelocation-model=static"])
        .args([
            "-Copt-level=s",
            "-Cpanic=abort",
            "-Cstrip=symbols",
            "pause/main.rs",
            "-o",
        ])
        .arg(to)
        .status();
    assert!(
        built.is_ok_and(|status| status.success()),
        "pause was not built: it needs the C library as an archive (Debian: libc6-dev)"
    );
}
