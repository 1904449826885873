//! Disks lose power, fill up, slow down, stand still and fail; and are as good as new afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what tests share fails and prints like the tests"
)]

mod support;

use mainstay_faults::disk::{Disk, Kind, Throttle, power_cut};
use mainstay_faults::process::{Process, Spec};
use mainstay_faults::{Need, Run};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;
use support::able;

const DISK_BYTES: u64 = 64 << 20;

fn sync(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

/// A file synced, and then appended to without a sync: after the cut it must be what was synced.
fn power_cuts(kind: Kind) {
    let run = Run::claim().unwrap();
    let mut disk = Disk::create(&run, "d", DISK_BYTES, kind).unwrap();
    for round in 0..5 {
        let path = disk.path().join(format!("file{round}"));
        sync(&path, "synced").unwrap();
        File::open(disk.path()).unwrap().sync_all().unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&[b'x'; 5_000]).unwrap();
        disk.cut().unwrap();
        assert!(file.sync_all().is_err(), "a sync succeeded without power");
        drop(file);
        let proof = disk.restore().unwrap();
        assert!(proof.acted, "{proof}");
        assert_eq!(fs::read(&path).unwrap(), b"synced");
        if round == 0 {
            println!("{kind:?}: {proof}");
        }
    }
}

#[test]
fn a_power_cut_loses_exactly_what_was_not_synced() {
    if able(&[Need::LoopDisks]) {
        power_cuts(Kind::Plain);
    }
}

#[test]
fn a_power_cut_acts_on_a_disk_with_a_daemon_too() {
    if able(&[Need::BlockDaemon]) {
        power_cuts(Kind::Daemon);
    }
}

/// Appends and syncs, and says so each time it was told that a sync succeeded.
#[test]
#[ignore = "only run by a_dead_process_has_acknowledged_nothing_that_is_lost, in a process of its own"]
fn appends_and_acknowledges_until_killed() {
    let file = PathBuf::from(std::env::var_os("APPENDS").unwrap());
    let acks = PathBuf::from(std::env::var_os("ACKS").unwrap());
    let mut acks = OpenOptions::new()
        .create(true)
        .append(true)
        .open(acks)
        .unwrap();
    while sync(&file, "x").is_ok() {
        acks.write_all(b"a").unwrap();
    }
}

#[test]
fn a_dead_process_has_acknowledged_nothing_that_is_lost() {
    if !able(&[Need::LoopDisks]) {
        return;
    }
    let run = Run::claim().unwrap();
    let mut disk = Disk::create(&run, "d", DISK_BYTES, Kind::Plain).unwrap();
    let mut all = 0;
    for round in 0..15 {
        let appends = disk.path().join(format!("appends{round}"));
        let acks = run.dir().join(format!("acks{round}"));
        let bytes = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len());
        let mut spec = Spec::new(std::env::current_exe().unwrap(), run.dir().join("log")).args([
            "--ignored",
            "--exact",
            "appends_and_acknowledges_until_killed",
        ]);
        spec.env = vec![
            ("APPENDS".into(), appends.clone().into()),
            ("ACKS".into(), acks.clone().into()),
        ];
        let mut process = Process::spawn(spec).unwrap();
        support::wait("something is acknowledged", || bytes(&acks) > 20);
        power_cut([(&mut process, &mut disk)]).unwrap();
        let proof = disk.restore().unwrap();
        assert!(proof.acted, "{proof}");
        let (kept, acknowledged) = (bytes(&appends), bytes(&acks));
        assert!(
            kept >= acknowledged,
            "{kept} of {acknowledged} acknowledged appends are there"
        );
        all += acknowledged;
    }
    println!("all of {all} appends acknowledged in 15 rounds are there");
}

#[test]
fn a_full_disk_refuses_writes_until_released() {
    if !able(&[Need::LoopDisks]) {
        return;
    }
    let run = Run::claim().unwrap();
    let disk = Disk::create(&run, "d", DISK_BYTES, Kind::Plain).unwrap();
    let path = disk.path().join("file");
    sync(&path, "before").unwrap();
    let spare = disk.fill(8 << 20).unwrap();
    println!("{spare}");
    assert!(spare.acted, "{spare}");
    fs::write(disk.path().join("fits"), vec![1; 4 << 20]).unwrap();
    let full = disk.fill(0).unwrap();
    println!("{full}");
    assert!(full.acted);
    let error = fs::write(disk.path().join("other"), vec![1; 64 << 10]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    println!("{}", disk.release().unwrap());
    fs::write(disk.path().join("other"), vec![1; 64 << 10]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"before");
}

#[test]
fn a_slow_disk_is_slow_and_then_fast_again() {
    if !able(&[Need::BlockDaemon]) {
        return;
    }
    let run = Run::claim().unwrap();
    let mut disk = Disk::create(&run, "d", DISK_BYTES, Kind::Daemon).unwrap();
    let slow = disk
        .slow(Throttle::requests(NonZeroU64::new(8).unwrap()))
        .unwrap();
    println!("{slow}");
    assert!(slow.acted);
    let during = (0..4).map(|_| disk.fsync_time().unwrap()).max().unwrap();
    println!("{}", disk.full_speed().unwrap());
    // Requests that were admitted slowly may still be on their way with the first one.
    let after = (0..4).map(|_| disk.fsync_time().unwrap()).min().unwrap();
    assert!(after * 3 < during, "{after:?} after, {during:?} during");
}

#[test]
fn a_stalled_disk_hangs_and_goes_on() {
    if !able(&[Need::BlockDaemon]) {
        return;
    }
    let run = Run::claim().unwrap();
    let mut disk = Disk::create(&run, "d", DISK_BYTES, Kind::Daemon).unwrap();
    println!("{}", disk.stall().unwrap());
    let path = disk.path().join("file");
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(sync(&path, "late").is_ok()));
    assert!(
        receiver.recv_timeout(Duration::from_millis(300)).is_err(),
        "a sync ended"
    );
    println!("{}", disk.resume().unwrap());
    assert!(receiver.recv_timeout(support::SOON).unwrap());
}

#[test]
fn a_broken_disk_fails_and_its_data_survives() {
    if !able(&[Need::BlockDaemon]) {
        return;
    }
    let run = Run::claim().unwrap();
    let mut disk = Disk::create(&run, "d", DISK_BYTES, Kind::Daemon).unwrap();
    let path = disk.path().join("file");
    sync(&path, "synced").unwrap();
    disk.unmount().unwrap();
    disk.mount().unwrap();
    println!("{}", disk.fail().unwrap());
    let error = sync(&path, "lost").unwrap_err();
    let errno = Errno::from_io_error(&error);
    assert!(matches!(errno, Some(Errno::IO | Errno::ROFS)), "{error}");
    println!("{}", disk.revive().unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"synced");
    sync(&path, " more").unwrap();
}

/// The half of [`leftovers_of_killed_runs_are_removed`] that is killed.
#[test]
#[ignore = "only run by leftovers_of_killed_runs_are_removed, in a process of its own"]
fn makes_disks_and_waits_to_be_killed() {
    let run = Run::claim().unwrap();
    let _plain = Disk::create(&run, "plain", DISK_BYTES, Kind::Plain).unwrap();
    let mut slow = Disk::create(&run, "slow", DISK_BYTES, Kind::Daemon).unwrap();
    slow.stall().unwrap();
    let made = std::env::var_os("MADE").unwrap();
    fs::write(made, format!("{}\n", run.dir().display())).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn leftovers_of_killed_runs_are_removed() {
    if !able(&[Need::BlockDaemon]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "makes_disks_and_waits_to_be_killed"])
        .env("MADE", &made)
        .spawn()
        .unwrap();
    let text = || fs::read_to_string(&made).unwrap_or_default();
    support::wait("the child made its disks", || text().ends_with('\n'));
    child.kill().unwrap();
    child.wait().unwrap();
    let image = format!("{}/disk-slow/image", text().trim());
    let inode = || {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(&image).map(|m| (m.ino(), m.ctime_nsec())).ok()
    };
    let left = inode();
    assert!(left.is_some(), "nothing was left; the test shows nothing");
    // Another test may claim the slot at once, and make a disk of the same name: not this one.
    let _run = Run::claim().unwrap();
    assert_ne!(inode(), left);
}
