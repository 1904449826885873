//! Programs that speak to the kernel.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::limits::COMPLAINT_MAX;

/// Why a program did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("{program} could not be run: {error}")]
    Start {
        program: &'static str,
        error: std::io::Error,
    },
    #[error("{program}: {complaint}")]
    Failed {
        program: &'static str,
        complaint: String,
    },
}

/// Runs a program to its end and returns what it printed.
///
/// # Errors
/// Returns what it complained of, if it did not succeed.
pub fn run(program: &'static str, arguments: &[&str], input: &str) -> Result<String, CommandError> {
    let start = |error| CommandError::Start { program, error };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let stdin = child.stdin.take();
    // Beside reading what it prints: it may print before it has read all.
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // One that ends before it has read all says why.
            let _ = stdin.map(|mut stdin| stdin.write_all(input.as_bytes()));
        });
        child.wait_with_output()
    });
    let output = output.map_err(start)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let mut complaint: String = complaint.trim().chars().take(COMPLAINT_MAX).collect();
    if complaint.is_empty() {
        complaint = output.status.to_string();
    }
    Err(CommandError::Failed { program, complaint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_heard() {
        let input = "x".repeat(1 << 20);
        let same = run("cat", &[], &input).expect("it copies");
        assert_eq!(same.len(), input.len());
        let error = run("sh", &["-c", "echo no >&2; exit 3"], &input);
        assert_eq!(error.expect_err("it fails").to_string(), "sh: no");
        let error = run("no-such-program", &[], "");
        let told = error.expect_err("it is not there").to_string();
        assert!(told.starts_with("no-such-program could not be run: "));
    }
}
