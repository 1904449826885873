//! Lines of shell in which `kubectl` talks to one server, in a namespace named after the file.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::contender::Contender;
use super::normal::normal_text;
use super::section::Section;

/// For one line.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs each line that is not a comment, in order, in one folder. A line that ends with `\` goes on in the next; lines
/// from `@file NAME` to `@end` are a file.
pub async fn run_session(
    contender: &Contender,
    name: &str,
    text: &str,
    kubectl: &Path,
) -> Vec<Section> {
    let work = tempfile::tempdir_in(contender.dir()).expect("a folder for a session");
    let bin = work.path().join(".bin");
    std::fs::create_dir(&bin).expect("a folder for commands");
    let wrapper = bin.join("kubectl");
    // Whatever its file is called, it says "kubectl" of itself.
    let named = bin.join("named");
    std::fs::create_dir(&named).expect("a folder for a link");
    let named = named.join("kubectl");
    std::os::unix::fs::symlink(found(kubectl), &named).expect("a link");
    let kubeconfig = contender.kubeconfig(name);
    let cache = contender.dir().join(format!(
        "cache-{}",
        kubectl.display().to_string().replace('/', "_")
    ));
    let script = format!(
        "#!/bin/sh\nexec '{}' --kubeconfig='{}' --cache-dir='{}' \"$@\"\n",
        named.display(),
        kubeconfig.display(),
        cache.display()
    );
    std::fs::write(&wrapper, script).expect("a script");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&wrapper, mode).expect("permissions");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", bin.display());

    let mut sections = Vec::new();
    for (title, line) in lines(text, work.path()) {
        let mut command = Command::new("bash");
        command
            .args(["-c", &line])
            .current_dir(work.path())
            .env("PATH", &path)
            .env("SERVER", contender.url())
            .env("KUBE_EDITOR", "true")
            .env("LC_ALL", "C")
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let text = match timeout(PATIENCE, command.output()).await {
            Ok(output) => {
                let output = output.expect("bash runs");
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let folder = work.path().display().to_string();
                let said = text(&output.stdout) + &text(&output.stderr);
                let said = normal_text(&said.replace(&folder, "FOLDER"));
                let code = output.status.code().unwrap_or(-1);
                format!("exit {code}\n{said}").trim_end().to_owned()
            }
            Err(_) => "did not end in time".to_owned(),
        };
        sections.push(Section { title, text });
    }
    sections
}

/// A command's file, where it is only named.
fn found(command: &Path) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|dir| dir.join(command));
    places
        .find(|place| place.is_file())
        .unwrap_or_else(|| command.to_owned())
}

/// Titles and lines; files are written on the way.
fn lines(text: &str, folder: &Path) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut rest = text.lines();
    let mut joined = String::new();
    while let Some(line) = rest.next() {
        if let Some(name) = line.strip_prefix("@file ") {
            let body: Vec<&str> = rest.by_ref().take_while(|line| *line != "@end").collect();
            std::fs::write(folder.join(name.trim()), body.join("\n") + "\n").expect("a file");
            continue;
        }
        if joined.is_empty() && (line.trim().is_empty() || line.starts_with('#')) {
            continue;
        }
        if let Some(more) = line.strip_suffix('\\') {
            joined.push_str(more);
            continue;
        }
        joined.push_str(line);
        let line = std::mem::take(&mut joined);
        let again = found.iter().filter(|(_, other)| *other == line).count();
        let title = match again {
            0 => line.clone(),
            again => format!("{line} #{}", again + 1),
        };
        found.push((title, line));
    }
    found
}
