//! Other programs: run to their end, with errors that say what was run and what it said.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::limits::STDERR_SHOWN_MAX;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("{command}: {source}")]
    Start { command: String, source: io::Error },
    #[error("{command}: {stderr}")]
    Failed { command: String, stderr: String },
}

/// Runs a program to its end and returns what it wrote to stdout.
///
/// # Errors
/// When it cannot be started, or ends with another status than 0: with its stderr.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, CommandError> {
    fed(program, arguments, "")
}

/// The same with `input` as its stdin.
///
/// # Errors
/// As [`run`].
pub fn fed(program: &str, arguments: &[&str], input: &str) -> Result<String, CommandError> {
    let mut command = Command::new(program);
    command.args(arguments);
    finish(&mut command, input)
}

/// Runs a command that is built elsewhere.
///
/// # Errors
/// As [`run`].
pub fn finish(command: &mut Command, input: &str) -> Result<String, CommandError> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let attempt = || -> io::Result<Output> {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            match stdin.write_all(input.as_bytes()) {
                // It did not want all of it: its status says whether that is wrong.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                other => other?,
            }
        }
        child.wait_with_output()
    };
    let mut attempt = attempt;
    let output = attempt();
    let output = output.map_err(|source| CommandError::Start {
        command: line(command),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if stderr.is_empty() {
        stderr = output.status.to_string();
    }
    let mut end = stderr.len().min(STDERR_SHOWN_MAX);
    while !stderr.is_char_boundary(end) {
        end -= 1;
    }
    stderr.truncate(end);
    Err(CommandError::Failed {
        command: line(command),
        stderr,
    })
}

/// Where a program is: in `PATH`, or in the folders of administrators, which are not in everybody's.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let folders = folders.chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// As one would type it.
fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_input_go_through() {
        assert_eq!(run("echo", &["a", "b"]).expect("it runs"), "a b\n");
        assert_eq!(fed("cat", &[], "text").expect("it runs"), "text");
    }

    #[test]
    fn errors_name_the_command_and_what_it_said() {
        let error = run("sh", &["-c", "echo no such thing >&2; exit 3"]).expect_err("it failed");
        assert_eq!(
            error.to_string(),
            "sh -c echo no such thing >&2; exit 3: no such thing"
        );
        let error = run("sh", &["-c", "exit 3"]).expect_err("it failed");
        assert!(error.to_string().ends_with("exit status: 3"), "{error}");
        let error = run("mainstay-no-such-program", &[]).expect_err("there is none");
        assert!(error.to_string().starts_with("mainstay-no-such-program: "));
    }

    #[test]
    fn programs_are_found_in_the_path() {
        assert!(find("sh").is_some());
        assert!(find("mainstay-no-such-program").is_none());
    }
}
