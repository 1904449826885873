//! Questions to a supervisor: one line of JSON, and one line back.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::service::Status;
use crate::limits::CONTROL_PATIENCE;

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Request {
    Status,
    /// Read again what is to run.
    Reload,
    /// A process that was stopped is to run again.
    Start(String),
    /// A process is to end, and to stay so.
    Stop(String),
    /// A process ends without warning, and is started again.
    Kill(String),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    Processes(Vec<Status>),
    Refused(String),
}

/// Asks the supervisor that listens at `socket`, and waits for its answer.
pub(crate) fn ask(socket: &Path, request: &Request) -> Result<Vec<Status>> {
    let attempt = || -> Result<Answer> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(CONTROL_PATIENCE))?;
        stream.set_write_timeout(Some(CONTROL_PATIENCE))?;
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        stream.write_all(line.as_bytes())?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    };
    let answer = attempt().with_context(|| format!("the supervisor at {}", socket.display()))?;
    match answer {
        Answer::Processes(statuses) => Ok(statuses),
        Answer::Refused(why) => bail!(why),
    }
}

/// How the processes are.
pub(crate) fn statuses(socket: &Path) -> Result<Vec<Status>> {
    ask(socket, &Request::Status)
}
