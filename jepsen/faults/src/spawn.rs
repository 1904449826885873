//! Starting processes in other network namespaces, bound to the life of this process.
//!
//! The only unsafe code of process handling is here: what runs between fork and exec.

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};

/// Makes `command` enter a network namespace before it runs.
///
/// Only the network namespace changes: `ip netns exec` would also remount /sys and hide the cgroups.
pub(crate) fn enter(command: &mut Command, namespace: Arc<File>) {
    // SAFETY: the closure runs between fork and exec and makes one system call on a descriptor that the closure
    // itself keeps open; it neither allocates nor locks.
    unsafe {
        command.pre_exec(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(())
        });
    }
}

/// Moves the calling thread, and every socket it makes from now on, into a network namespace. For threads that end
/// there: nothing moves them back.
pub(crate) fn move_this_thread(namespace: &File) -> io::Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

/// Starts a process that the kernel kills when this process ends, however it ends.
pub(crate) fn bound(command: Command) -> io::Result<Child> {
    let (reply, answer) = channel();
    spawner()
        .send((command, reply))
        .map_err(|_| io::Error::other("the spawner has ended"))?;
    answer
        .recv()
        .map_err(|_| io::Error::other("the spawner does not answer"))?
}

type Request = (Command, Sender<io::Result<Child>>);

/// The thread that forks. The parent-death signal is bound to the *thread* that forked, so that thread must live as
/// long as this process, which the threads of tests and runtimes do not.
fn spawner() -> &'static Sender<Request> {
    static SPAWNER: OnceLock<Sender<Request>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (sender, receiver) = channel::<Request>();
        std::thread::Builder::new()
            .name("fault-spawner".into())
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
