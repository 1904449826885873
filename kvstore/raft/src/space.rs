//! Room on a disk: what is too little, and what to do about it.

use crate::limits::{
    BALLAST_BYTES_MAX, BALLAST_SHARE, COMPACTING_QUARTERS, CRITICAL_SHARE, ROOM_ENOUGH_FACTOR,
    ROOM_LOW_BYTES_MAX, ROOM_LOW_BYTES_MIN, ROOM_LOW_SHARE, SPARE_BYTES_MAX, SPARE_SHARE,
};

/// A file system as it says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Whichever number tells one file system from another.
    pub device: u64,
    pub total_bytes: u64,
    /// Free for a program without privileges.
    pub free_bytes: u64,
}

/// How much room counts as what, for a disk of a certain size. `critical < ballast < low < enough`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thresholds {
    /// Below it the member refuses what needs more room.
    pub(crate) low: u64,
    /// From here on it does not refuse any longer.
    pub(crate) enough: u64,
    /// Below it the ballast is given up.
    pub(crate) critical: u64,
    /// What is kept for merging tables.
    pub(crate) compacting: u64,
    pub(crate) ballast: u64,
}

impl Thresholds {
    pub(crate) fn of(total_bytes: u64) -> Self {
        let low = (total_bytes / ROOM_LOW_SHARE).clamp(ROOM_LOW_BYTES_MIN, ROOM_LOW_BYTES_MAX);
        Self {
            low,
            enough: low / 2 * ROOM_ENOUGH_FACTOR,
            critical: low / CRITICAL_SHARE,
            compacting: low / 4 * COMPACTING_QUARTERS,
            ballast: (low / BALLAST_SHARE).min(BALLAST_BYTES_MAX),
        }
    }
}

/// What is to be done with the ballast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Nothing,
    Release,
    Build,
}

/// One watched file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gauge {
    /// There is too little room; stays set until there is enough.
    pub(crate) low: bool,
    /// Bytes of ballast that lie on the disk.
    pub(crate) ballast: u64,
    /// Bytes that may still be written at once, without adding data, while it is low.
    pub(crate) spare: u64,
}

impl Gauge {
    /// Takes a reading. Room that the ballast is still to take does not count as free, so that building it
    /// again does not bring the next alarm. `held_up`: something was refused for want of room.
    pub(crate) fn read(&mut self, room: &Room, held_up: bool) -> Step {
        let at = Thresholds::of(room.total_bytes);
        let missing = at.ballast.saturating_sub(self.ballast);
        let free = room.free_bytes.saturating_sub(missing);
        if held_up || free < at.low {
            self.low = true;
        } else if free >= at.enough {
            self.low = false;
        }
        let above = room.free_bytes.saturating_sub(at.compacting);
        self.spare = (above / SPARE_SHARE).min(SPARE_BYTES_MAX);
        if self.ballast > 0 && (held_up || room.free_bytes < at.critical) {
            Step::Release
        } else if self.ballast == 0 && !held_up && free >= at.low {
            Step::Build
        } else {
            Step::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn room(total_bytes: u64, free_bytes: u64) -> Room {
        Room {
            device: 1,
            total_bytes,
            free_bytes,
        }
    }

    #[test]
    fn thresholds_are_in_order_on_disks_of_all_sizes() {
        for total in [0, MIB, 64 * MIB, 1 << 30, 1 << 33, 1 << 40, u64::MAX] {
            let t = Thresholds::of(total);
            assert!(t.critical > 0, "{t:?}");
            assert!(t.critical < t.ballast && t.ballast < t.low && t.low < t.enough);
            assert!(t.critical < t.compacting && t.compacting < t.low);
        }
        let small = Thresholds::of(64 * MIB);
        assert!(small.enough + small.ballast <= 32 * MIB, "{small:?}");
        assert!(Thresholds::of(1 << 40).enough <= 4 << 30);
    }

    #[test]
    fn a_disk_that_fills_up_and_empties_again() {
        let total = 1 << 30;
        let at = Thresholds::of(total);
        let mut gauge = Gauge::default();
        assert_eq!(gauge.read(&room(total, total / 2), false), Step::Build);
        gauge.ballast = at.ballast;
        assert_eq!(gauge.read(&room(total, at.low), false), Step::Nothing);
        assert!(!gauge.low);
        assert_eq!(gauge.read(&room(total, at.low - 1), false), Step::Nothing);
        assert!(gauge.low);
        assert_eq!(gauge.spare, (at.low - 1 - at.compacting) / SPARE_SHARE);
        let step = gauge.read(&room(total, at.critical - 1), false);
        assert_eq!(step, Step::Release);
        gauge.ballast = 0;
        // The room that the ballast gave back is for what must go on, not for new writes.
        let given = room(total, at.critical + at.ballast);
        assert_eq!(gauge.read(&given, false), Step::Nothing);
        assert!(gauge.low);
        assert_eq!(gauge.spare, 0);
        let step = gauge.read(&room(total, at.low + at.ballast), false);
        assert_eq!(step, Step::Build);
        assert!(gauge.low);
        gauge.ballast = at.ballast;
        gauge.read(&room(total, at.enough - 1), false);
        assert!(gauge.low, "between low and enough it stays as it was");
        gauge.read(&room(total, at.enough), false);
        assert!(!gauge.low);
    }

    #[test]
    fn whatever_is_held_up_gets_the_ballast_at_once() {
        let mut gauge = Gauge {
            ballast: 1,
            ..Gauge::default()
        };
        let plenty = room(1 << 30, 1 << 29);
        assert_eq!(gauge.read(&plenty, true), Step::Release);
        assert!(gauge.low);
    }
}
