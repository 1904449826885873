//! QEMU's storage daemon between an image and its loop device, and the protocol (QMP, JSON lines) it is told by.

use crate::error::{Error, Result};
use crate::limits::{DAEMON_ANSWER_BYTES_MAX, DAEMON_DEADLINE, POLL_INTERVAL};
use crate::procfs;
use crate::spawn;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Instant;

/// A running daemon that exports `DIR/image` as `DIR/export`. Killed when it is dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    export: PathBuf,
    log: PathBuf,
    qmp: BufReader<UnixStream>,
}

impl Daemon {
    /// Starts it with a healthy disk.
    pub(super) fn start(dir: &Path) -> Result<Self> {
        let doing = || format!("start the block daemon in {}", dir.display());
        let (export, log, socket) = (dir.join("export"), dir.join("daemon.log"), dir.join("qmp"));
        // Whatever an earlier daemon of this disk left.
        for old in [&export, &socket] {
            let _ = std::fs::remove_file(old);
        }
        File::create(&export).map_err(Error::io(doing()))?;
        let output = File::create(&log).map_err(Error::io(doing()))?;
        let errors = output.try_clone().map_err(Error::io(doing()))?;
        let mut command = Command::new("qemu-storage-daemon");
        command
            .args(arguments(dir))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .current_dir(dir);
        let mut child = spawn::bound(command).map_err(Error::io(doing()))?;
        let stream = match connect(&mut child, &socket, &log) {
            Ok(stream) => stream,
            Err(error) => {
                end(&mut child);
                return Err(error);
            }
        };
        let mut daemon = Self {
            child,
            export,
            log,
            qmp: BufReader::new(stream),
        };
        // The greeting comes when all of the command line has been carried out.
        daemon.answer("QMP")?;
        daemon.tell("qmp_capabilities", &json!({}))?;
        Ok(daemon)
    }

    /// The file to mount.
    pub(super) fn export(&self) -> &Path {
        &self.export
    }

    /// Gives one command and waits for its result.
    pub(super) fn tell(&mut self, command: &str, arguments: &Value) -> Result<()> {
        let line = json!({"execute": command, "arguments": arguments}).to_string() + "\n";
        self.qmp
            .get_mut()
            .write_all(line.as_bytes())
            .map_err(Error::io(format!("tell the block daemon {command}")))?;
        self.answer("return")
    }

    /// Reads until the next object that has `wanted`; events in between are skipped.
    fn answer(&mut self, wanted: &str) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < DAEMON_DEADLINE {
            let mut line = String::new();
            let mut limited = self.qmp.by_ref().take(DAEMON_ANSWER_BYTES_MAX as u64);
            let read = limited.read_line(&mut line);
            read.map_err(Error::io("read the block daemon's answer"))?;
            let answer: Value = serde_json::from_str(&line).map_err(|_| self.failed(&line))?;
            if answer.get(wanted).is_some() {
                return Ok(());
            }
            if answer.get("error").is_some() {
                return Err(self.failed(&line));
            }
        }
        Err(Error::Deadline {
            what: "the block daemon answers".into(),
            within: DAEMON_DEADLINE,
        })
    }

    fn failed(&self, answer: &str) -> Error {
        Error::Command {
            command: "qemu-storage-daemon".into(),
            status: format!("answered {:?}", answer.trim()),
            stderr: std::fs::read_to_string(&self.log).unwrap_or_default(),
        }
    }

    /// Stops it: no request on the disk ends until it is woken. Returns its state letter.
    pub(super) fn stop(&self) -> Result<char> {
        self.signal(Signal::STOP)?;
        let start = Instant::now();
        loop {
            let state = procfs::state(&format!("/proc/{}", self.child.id()));
            match state {
                Some('T') => return Ok('T'),
                _ if start.elapsed() > DAEMON_DEADLINE => {
                    return Err(Error::NotActing(format!(
                        "the block daemon is in state {state:?}"
                    )));
                }
                _ => sleep(POLL_INTERVAL),
            }
        }
    }

    /// Lets it go on. Harmless if it runs.
    pub(super) fn wake(&self) {
        if let Err(error) = self.signal(Signal::CONT) {
            tracing::warn!("{error}");
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).expect("process ids are positive i32");
        let pid = Pid::from_raw(id).expect("process ids are not zero");
        kill_process(pid, signal).map_err(Error::sys("signal the block daemon"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.child);
        // The export outlives its daemon as a dead mount.
        super::mounts::detach(&self.export);
    }
}

fn end(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        tracing::warn!("could not end a block daemon: {error}");
    }
}

fn arguments(dir: &Path) -> Vec<String> {
    let export = dir.join("export");
    [
        "--chardev".into(),
        "socket,id=control,path=qmp,server=on,wait=off".into(),
        "--monitor".into(),
        "chardev=control".into(),
        "--object".into(),
        "throttle-group,id=brake".into(),
        "--blockdev".into(),
        "driver=file,node-name=image,filename=image,discard=unmap".into(),
        "--blockdev".into(),
        "driver=throttle,node-name=braked,throttle-group=brake,file=image".into(),
        "--blockdev".into(),
        "driver=raw,node-name=top,file=braked".into(),
        "--export".into(),
        format!(
            "type=fuse,id=disk,node-name=top,mountpoint={},writable=on",
            export.display()
        ),
    ]
    .into()
}

fn connect(child: &mut Child, socket: &Path, log: &Path) -> Result<UnixStream> {
    let start = Instant::now();
    loop {
        if let Ok(stream) = UnixStream::connect(socket) {
            let limit = Some(DAEMON_DEADLINE);
            stream
                .set_read_timeout(limit)
                .and_then(|()| stream.set_write_timeout(limit))
                .map_err(Error::io("talk to the block daemon"))?;
            return Ok(stream);
        }
        let ended = child
            .try_wait()
            .map_err(Error::io("wait for the block daemon"))?;
        if ended.is_some() || start.elapsed() > DAEMON_DEADLINE {
            return Err(Error::Command {
                command: "qemu-storage-daemon".into(),
                status: ended.map_or("not ready in time".into(), |status| status.to_string()),
                stderr: std::fs::read_to_string(log).unwrap_or_default(),
            });
        }
        sleep(POLL_INTERVAL);
    }
}
