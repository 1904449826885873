//! Server processes: started so that they cannot outlive the tests, signalled and ended by process id.

use crate::limits::{EXIT_DEADLINE, POLL_INTERVAL};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, set_parent_process_death_signal, waitid,
};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// A child process that is killed when this value is dropped and when the test process dies.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command`.
    pub fn spawn(command: Command) -> io::Result<Self> {
        let (reply, answer) = channel();
        spawner()
            .send((command, reply))
            .expect("the spawner never ends");
        answer
            .recv()
            .expect("the spawner answers")
            .map(|child| Self { child })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The underlying child, for its pipes.
    pub fn child_mut(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The exit status, if the process has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Sends a signal; an already ended process is not an error. After SIGSTOP all its threads stand still.
    pub fn signal(&mut self, signal: Signal) {
        if self.try_wait().is_none() {
            let id = i32::try_from(self.child.id()).expect("process ids are positive i32");
            let pid = Pid::from_raw(id).expect("process ids are not zero");
            kill_process(pid, signal).expect("signalling a running child succeeds");
            if signal == Signal::STOP {
                // On a busy machine its threads may work on for a while; the end is left for others to reap.
                let options =
                    WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                waitid(WaitId::Pid(pid), options).expect("a child can be waited for");
            }
        }
    }

    /// SIGKILL, and reaps the process.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("a child can be waited for");
    }

    /// SIGTERM, and waits for the end. Returns the status and how long it took; panics after the deadline.
    pub async fn terminate(&mut self) -> (ExitStatus, Duration) {
        self.signal(Signal::TERM);
        self.exited(EXIT_DEADLINE)
            .await
            .expect("the process ends after SIGTERM")
    }

    /// Waits until the process has ended by itself.
    pub async fn exited(&mut self, deadline: Duration) -> Option<(ExitStatus, Duration)> {
        let start = Instant::now();
        while start.elapsed() < deadline {
            if let Some(status) = self.try_wait() {
                return Some((status, start.elapsed()));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

type Request = (Command, Sender<io::Result<Child>>);

/// The thread that forks. The parent-death signal is bound to the *thread* that forked, so that thread must live as
/// long as the process, which the threads of tests and runtimes do not.
fn spawner() -> &'static Sender<Request> {
    static SPAWNER: OnceLock<Sender<Request>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (sender, receiver) = channel::<Request>();
        std::thread::Builder::new()
            .name("spawner".into())
            .spawn(move || {
                for (mut command, reply) in receiver {
                    // The receiver waits for exactly this answer.
                    let _ = reply.send(die_with_parent(&mut command).spawn());
                }
            })
            .expect("threads can be started");
        sender
    })
}

fn die_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: the closure runs between fork and exec and makes one system call; it neither allocates nor locks.
    unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?)) }
}
