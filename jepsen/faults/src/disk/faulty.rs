//! What only a disk with the block daemon can do: be slow, stand still, fail.

use super::{Daemon, Disk};
use crate::error::{Error, Result};
use crate::proof::Proof;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::num::NonZeroU64;
use std::time::Duration;

/// Probes of a disk at full speed, of which the fastest counts: a busy machine must not hide the throttle.
const CALM_PROBES: usize = 4;
/// Probes after which a throttle must have shown: the first ones may still use up a burst.
const SLOW_PROBES_MAX: usize = 8;
/// A sync that takes so many times longer than before, and at least [`SLOW_MIN`], is slow.
const SLOW_FACTOR: u32 = 4;
/// See [`SLOW_FACTOR`].
const SLOW_MIN: Duration = Duration::from_millis(20);

/// How slow a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// Requests (reads, writes and flushes together) per second. One small write with its sync costs several.
    pub requests_per_second: Option<NonZeroU64>,
    /// Bytes per second.
    pub bytes_per_second: Option<NonZeroU64>,
}

impl Throttle {
    /// So many requests per second: 5 make a sync take most of a second.
    pub fn requests(per_second: NonZeroU64) -> Self {
        Self {
            requests_per_second: Some(per_second),
            bytes_per_second: None,
        }
    }
}

impl Disk {
    /// Makes the disk slow until [`Disk::full_speed`]. The proof is the time of a probe's sync, before and after.
    pub fn slow(&mut self, throttle: Throttle) -> Result<Proof> {
        self.mounted()?;
        let mut before = Duration::MAX;
        for _ in 0..CALM_PROBES {
            before = before.min(self.fsync_time()?);
        }
        self.daemon()?.limit(throttle)?;
        let mut after = Duration::ZERO;
        for _ in 0..SLOW_PROBES_MAX {
            after = after.max(self.fsync_time()?);
            if after > (before * SLOW_FACTOR).max(SLOW_MIN) {
                return Ok(Proof::acted(format!(
                    "a sync takes {after:.1?}, {before:.1?} before"
                )));
            }
        }
        Ok(Proof::when(
            false,
            format!("a sync takes {after:.1?}, {before:.1?} before"),
        ))
    }

    /// Ends [`Disk::slow`] at once, also for requests that are waiting.
    pub fn full_speed(&mut self) -> Result<Proof> {
        self.daemon()?.limit(Throttle {
            requests_per_second: None,
            bytes_per_second: None,
        })?;
        Ok(Proof::acted(format!(
            "a sync takes {:.1?}",
            self.fsync_time()?
        )))
    }

    /// Stands still: every request that needs the disk hangs, without an error, until [`Disk::resume`]. The proof is the
    /// stopped daemon; no probe is made, for it would hang too.
    pub fn stall(&mut self) -> Result<Proof> {
        self.mounted()?;
        let state = self.daemon()?.stop()?;
        Ok(Proof::acted(format!(
            "the process that serves the disk is in state {state}"
        )))
    }

    /// Ends [`Disk::stall`]. The proof is a sync that succeeds.
    pub fn resume(&mut self) -> Result<Proof> {
        self.daemon()?.wake();
        Ok(Proof::acted(format!(
            "a sync takes {:.1?}",
            self.fsync_time()?
        )))
    }

    /// Breaks the disk: every write and flush fails with EIO. The proof is a probe's errno. Only [`Disk::revive`]
    /// ends this, as ext4 gives up after such errors.
    pub fn fail(&mut self) -> Result<Proof> {
        self.mounted()?;
        self.daemon()?.break_writes()?;
        match self.probe().errno() {
            Some(Errno::IO) => Ok(Proof::acted("a probe's sync met EIO")),
            // After the journal has failed.
            Some(Errno::ROFS) => Ok(Proof::acted("a probe met EROFS: ext4 has given up")),
            other => Err(Error::NotActing(format!("a probe met {other:?}, not EIO"))),
        }
    }

    /// A new controller for the same platter: mounts what is on the image with a fresh daemon. All processes that used
    /// the disk must have ended.
    pub fn revive(&mut self) -> Result<Proof> {
        self.daemon()?.wake();
        self.unmount()?;
        self.daemon = None;
        self.daemon = Some(Daemon::start(&self.dir)?);
        self.mount()?;
        Ok(Proof::acted(format!(
            "a sync takes {:.1?}",
            self.fsync_time()?
        )))
    }

    fn daemon(&mut self) -> Result<&mut Daemon> {
        self.daemon
            .as_mut()
            .ok_or_else(|| Error::Misuse("a plain disk can neither be slow nor fail".into()))
    }
}

impl Daemon {
    fn limit(&mut self, throttle: Throttle) -> Result<()> {
        let per_second = |limit: Option<NonZeroU64>| limit.map_or(0, NonZeroU64::get);
        self.tell(
            "qom-set",
            &json!({
                "path": "/objects/brake",
                "property": "limits",
                "value": {
                    "iops-total": per_second(throttle.requests_per_second),
                    "bps-total": per_second(throttle.bytes_per_second),
                },
            }),
        )
    }

    /// Puts a node that fails between the throttle and the image.
    fn break_writes(&mut self) -> Result<()> {
        let failing = |kind| json!({"event": "none", "iotype": kind, "errno": 5, "once": false});
        self.tell(
            "blockdev-add",
            &json!({
                "driver": "blkdebug",
                "node-name": "broken",
                "image": "image",
                "inject-error": [failing("write"), failing("flush")],
            }),
        )?;
        self.tell(
            "blockdev-reopen",
            &json!({"options": [{
                "driver": "throttle",
                "node-name": "braked",
                "throttle-group": "brake",
                "file": "broken",
            }]}),
        )
    }
}
