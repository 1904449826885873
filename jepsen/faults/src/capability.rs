//! What a machine must offer for which fault, and whether it does.

use crate::command;
use crate::error::{Error, Result};
use rustix::process::geteuid;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

/// An ability of the machine. `scripts/setup faults` installs the programs; the rest is up to the kernel and to
/// being root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// Network namespaces, veth pairs and a bridge: members with addresses of their own.
    Namespaces,
    /// nftables inside a namespace: partitions and loss.
    PacketFilter,
    /// ext4 images in loop devices: power cuts and full disks.
    LoopDisks,
    /// The QEMU storage daemon with FUSE exports: slow disks and I/O errors.
    BlockDaemon,
    /// libfaketime: jumps of the wall clock.
    FakeTime,
}

impl Need {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::Namespaces,
        Self::PacketFilter,
        Self::LoopDisks,
        Self::BlockDaemon,
        Self::FakeTime,
    ];

    /// What it is called in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "network namespaces",
            Self::PacketFilter => "packet filters in namespaces",
            Self::LoopDisks => "ext4 in loop devices",
            Self::BlockDaemon => "slow and failing disks",
            Self::FakeTime => "shifted wall clocks",
        }
    }

    /// Tries the ability; [`Error::Absent`] says what is missing.
    pub fn check(self) -> Result<()> {
        let tried = match self {
            Self::Namespaces => namespaces(),
            Self::PacketFilter => namespaces().and_then(|()| packet_filter()),
            Self::LoopDisks => loop_disks(),
            Self::BlockDaemon => loop_disks().and_then(|()| block_daemon()),
            Self::FakeTime => faketime_library().map(drop),
        };
        tried.map_err(|why| Error::Absent {
            what: self.name(),
            why,
        })
    }
}

/// The first of `needs` that the machine lacks, as an error.
pub fn check(needs: &[Need]) -> Result<()> {
    needs.iter().try_for_each(|need| need.check())
}

fn root(purpose: &str) -> std::result::Result<(), String> {
    if geteuid().is_root() {
        return Ok(());
    }
    Err(format!("{purpose} needs root"))
}

fn tried(purpose: &str, program: &str, args: &[&str]) -> std::result::Result<(), String> {
    command::run(program, args)
        .map(drop)
        .map_err(|error| format!("{purpose}: {error}; try scripts/setup faults"))
}

fn namespaces() -> std::result::Result<(), String> {
    root("making network namespaces")?;
    tried(
        "a bridge and a veth pair in a fresh namespace",
        "unshare",
        &[
            "--net",
            "sh",
            "-c",
            "ip link add tried0 type bridge && ip link add tried1 type veth peer name tried2",
        ],
    )
}

fn packet_filter() -> std::result::Result<(), String> {
    tried(
        "a random drop rule in a fresh namespace",
        "unshare",
        &[
            "--net",
            "nft",
            "table inet t { chain c { type filter hook input priority 0; numgen random mod 2 < 1 drop; }; }",
        ],
    )
}

fn loop_disks() -> std::result::Result<(), String> {
    root("mounting disk images")?;
    tried("finding a free loop device", "losetup", &["--find"])?;
    tried("making ext4 file systems", "mkfs.ext4", &["-V"])
}

fn block_daemon() -> std::result::Result<(), String> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .map_err(|error| format!("cannot open /dev/fuse: {error}"))?;
    let help = command::run("qemu-storage-daemon", ["--help"])
        .map_err(|error| format!("{error}; try scripts/setup faults"))?;
    if help.contains("fuse") {
        return Ok(());
    }
    Err("this qemu-storage-daemon was built without FUSE exports".into())
}

/// Where libfaketime is, in the variant for programs with threads.
pub(crate) fn faketime_library() -> std::result::Result<PathBuf, String> {
    const NAME: &str = "faketime/libfaketimeMT.so.1";
    let triplet = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    [triplet.as_str(), "/usr/lib", "/usr/lib64", "/usr/local/lib"]
        .iter()
        .map(|folder| Path::new(folder).join(NAME))
        .find(|path| path.is_file())
        .ok_or_else(|| format!("no {NAME} below /usr/lib; try scripts/setup faults"))
}
