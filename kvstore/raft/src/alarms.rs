//! Active alarms: part of the replicated state, so that every member refuses the same writes.

use std::collections::BTreeMap;

use mainstay_proto::etcdserverpb::{AlarmMember, AlarmType};

use crate::limits::ALARMS_MAX;

/// Why an alarm was raised, which decides who may withdraw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmCause {
    /// By an operator, a quota or found damage: stays until somebody withdraws it by hand.
    Lasting,
    /// A member's disk was nearly full: the member withdraws it when there is room again.
    Disk,
}

/// Raises or withdraws one alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlarmChange {
    pub active: bool,
    pub member: u64,
    pub kind: AlarmType,
    /// A change caused by the disk never withdraws a lasting alarm.
    pub cause: AlarmCause,
}

impl AlarmCause {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Lasting => 0,
            Self::Disk => 1,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Lasting),
            1 => Some(Self::Disk),
            _ => None,
        }
    }
}

/// What a change did to the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    Saved(AlarmCause),
    Dropped,
}

/// All active alarms, by type and member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Alarms {
    active: BTreeMap<(i32, u64), AlarmCause>,
}

impl Alarms {
    /// Takes over a stored record.
    pub(crate) fn insert(&mut self, kind: i32, member: u64, cause: AlarmCause) {
        self.active.insert((kind, member), cause);
    }

    /// Makes a change. Returns the alarm it was about, if there is or was one, as etcd's answer names it.
    pub(crate) fn change(&mut self, change: &AlarmChange) -> (Effect, Option<AlarmMember>) {
        let key = (change.kind as i32, change.member);
        let named = Some(AlarmMember {
            member_id: change.member,
            alarm: change.kind as i32,
        });
        let known = self.active.get(&key).copied();
        if change.kind == AlarmType::None {
            return (Effect::Nothing, None);
        }
        if !change.active {
            let may = change.cause == AlarmCause::Lasting || known == Some(AlarmCause::Disk);
            if known.is_none() || !may {
                return (Effect::Nothing, None);
            }
            self.active.remove(&key);
            return (Effect::Dropped, named);
        }
        match known {
            None if self.active.len() >= ALARMS_MAX => (Effect::Nothing, None),
            // The disk's own alarm becomes one that stays, never the other way round.
            Some(AlarmCause::Lasting) => (Effect::Nothing, named),
            Some(AlarmCause::Disk) if change.cause == AlarmCause::Disk => (Effect::Nothing, named),
            _ => {
                self.active.insert(key, change.cause);
                (Effect::Saved(change.cause), named)
            }
        }
    }

    pub(crate) fn cause(&self, kind: AlarmType, member: u64) -> Option<AlarmCause> {
        self.active.get(&(kind as i32, member)).copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// Whether any member has this alarm.
    pub(crate) fn any(&self, kind: AlarmType) -> bool {
        let of = (kind as i32, 0)..=(kind as i32, u64::MAX);
        self.active.range(of).next().is_some()
    }

    /// By type, then by member.
    pub(crate) fn list(&self) -> Vec<AlarmMember> {
        let alarm = |&(alarm, member_id): &(i32, u64)| AlarmMember { member_id, alarm };
        self.active.keys().map(alarm).collect()
    }

    /// The types of a member's alarms that nobody but its disk could withdraw.
    pub(crate) fn of_disk(&self, member: u64) -> Vec<i32> {
        let own = |(key, cause): (&(i32, u64), &AlarmCause)| {
            (key.1 == member && *cause == AlarmCause::Disk).then_some(key.0)
        };
        self.active.iter().filter_map(own).collect()
    }

    pub(crate) fn remove(&mut self, kind: i32, member: u64) {
        self.active.remove(&(kind, member));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(active: bool, member: u64, cause: AlarmCause) -> AlarmChange {
        AlarmChange {
            active,
            member,
            kind: AlarmType::Nospace,
            cause,
        }
    }

    #[test]
    fn a_lasting_alarm_outlives_the_disks_own() {
        use AlarmCause::{Disk, Lasting};
        let mut alarms = Alarms::default();
        assert_eq!(alarms.change(&change(true, 7, Disk)).0, Effect::Saved(Disk));
        assert_eq!(alarms.change(&change(true, 7, Disk)).0, Effect::Nothing);
        assert_eq!(
            alarms.change(&change(true, 7, Lasting)).0,
            Effect::Saved(Lasting)
        );
        assert_eq!(alarms.change(&change(true, 7, Disk)).0, Effect::Nothing);
        assert_eq!(alarms.change(&change(false, 7, Disk)).0, Effect::Nothing);
        assert!(alarms.any(AlarmType::Nospace) && !alarms.any(AlarmType::Corrupt));
        let (effect, named) = alarms.change(&change(false, 7, Lasting));
        assert_eq!(effect, Effect::Dropped);
        assert_eq!(named.map(|alarm| alarm.member_id), Some(7));
        assert_eq!(alarms, Alarms::default());
        assert_eq!(
            alarms.change(&change(false, 7, Lasting)),
            (Effect::Nothing, None)
        );
    }

    #[test]
    fn raising_it_again_names_it_again() {
        let mut alarms = Alarms::default();
        for expected in [Effect::Saved(AlarmCause::Lasting), Effect::Nothing] {
            let (effect, named) = alarms.change(&change(true, 3, AlarmCause::Lasting));
            assert_eq!(effect, expected);
            assert!(named.is_some());
        }
        assert_eq!(alarms.list().len(), 1);
    }

    #[test]
    fn they_are_bounded() {
        let mut alarms = Alarms::default();
        for member in 0..=ALARMS_MAX as u64 {
            alarms.change(&change(true, member, AlarmCause::Lasting));
        }
        assert_eq!(alarms.list().len(), ALARMS_MAX);
    }
}
