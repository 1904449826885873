//! Images that are built here run in a real containerd, where there is one and it is permitted.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends with what it did not expect, and says what it left out"
)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time for containerd to answer.
const DONE: Duration = Duration::from_secs(30);

struct Containerd {
    child: Child,
    socket: String,
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(&pid).status();
        let _ = self.child.wait();
    }
}

impl Containerd {
    /// None, with a line on stderr, where it cannot run.
    fn start(folder: &Path) -> Option<Self> {
        let id = Command::new("id").arg("-u").output().ok()?;
        if id.stdout != b"0\n" {
            eprintln!("skipped: containerd needs root");
            return None;
        }
        let at = folder.display();
        let socket = format!("{at}/socket");
        let config = format!(
            "version = 2\nroot = \"{at}/root\"\nstate = \"{at}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{socket}\"\n"
        );
        let file = folder.join("config.toml");
        fs::write(&file, config).unwrap();
        let started = Command::new("containerd")
            .arg("--config")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else {
            eprintln!("skipped: there is no containerd here");
            return None;
        };
        let mut this = Self { child, socket };
        let begun = Instant::now();
        while this.ctr(&["version"]).is_err() {
            if begun.elapsed() > DONE || this.child.try_wait().unwrap().is_some() {
                eprintln!("skipped: containerd does not run here");
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(this)
    }

    fn ctr(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("ctr")
            .args(["--address", &self.socket, "--namespace", "k8s.io"])
            .args(arguments)
            .output()
            .map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

#[test]
fn an_image_of_programs_is_imported_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("shell.tar");
    let shell = fs::canonicalize("/bin/sh").unwrap();
    let build = || {
        let built = Command::new(env!("CARGO_BIN_EXE_mainstay"))
            .args(["image", "build", "--name=shell:test"])
            .arg(format!("--program={}=/bin/sh", shell.display()))
            .args([
                "--entrypoint=/bin/sh",
                "--argument=-c",
                "--env=WHAT=content",
            ])
            .args([
                "--argument=echo the $WHAT of $PWD",
                "--workdir=/bin",
                "--user=7:7",
            ])
            .arg(&archive)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        assert!(built.status.success(), "{said}");
        fs::read(&archive).unwrap()
    };
    let first = build();
    fs::remove_file(&archive).unwrap();
    assert_eq!(first, build(), "the same again");

    let Some(containerd) = Containerd::start(folder.path()) else {
        return;
    };
    for _ in 0..2 {
        let file = archive.display().to_string();
        containerd.ctr(&["images", "import", &file]).unwrap();
    }
    let images = containerd.ctr(&["images", "list", "--quiet"]).unwrap();
    assert_eq!(images, "docker.io/library/shell:test\n");
    let name = "docker.io/library/shell:test";
    let said = containerd.ctr(&["run", "--rm", name, "mainstay-images-test"]);
    assert_eq!(said.unwrap(), "the content of /bin\n");
}
