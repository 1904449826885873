//! Helper programs, run with a deadline.

use crate::error::{Error, Result};
use crate::limits::{COMMAND_DEADLINE, POLL_INTERVAL, STDERR_CHARS_MAX};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

/// Runs a program to its end and returns its standard output; any other end than success is an error.
pub(crate) fn run<S: AsRef<OsStr>>(
    program: &str,
    args: impl IntoIterator<Item = S>,
) -> Result<String> {
    let mut command = Command::new(program);
    command.args(args);
    feed(command, "")
}

/// The same for a prepared command that reads `input`.
pub(crate) fn feed(mut command: Command, input: &str) -> Result<String> {
    let shown = show(&command);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(Error::io(format!("start {shown}")))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early says why itself.
        let _ = stdin.write_all(input.as_bytes());
    }
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child
            .try_wait()
            .map_err(Error::io(format!("wait for {shown}")))?
        {
            break status;
        }
        if start.elapsed() > COMMAND_DEADLINE {
            let _ = child.kill();
            return Err(Error::Deadline {
                what: format!("the end of {shown}"),
                within: COMMAND_DEADLINE,
            });
        }
        thread::sleep(POLL_INTERVAL / 5);
    };
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    if status.success() {
        return Ok(stdout);
    }
    let stderr = stderr.trim().chars().take(STDERR_CHARS_MAX).collect();
    Err(Error::Command {
        command: shown,
        status: status.to_string(),
        stderr,
    })
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read until a failure is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn show(command: &Command) -> String {
    let mut shown = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        shown.push(' ');
        shown.push_str(&arg.to_string_lossy());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::error::Error;

    #[test]
    fn output_and_complaints_are_kept() {
        assert_eq!(run("sh", ["-c", "echo out"]).unwrap(), "out\n");
        let Err(Error::Command { stderr, status, .. }) = run("sh", ["-c", "echo bad >&2; exit 3"])
        else {
            panic!("a failure is an error");
        };
        assert_eq!(stderr, "bad");
        assert!(status.contains('3'), "{status}");
        assert!(matches!(
            run("no-such-program", [""]),
            Err(Error::Io { .. })
        ));
    }
}
