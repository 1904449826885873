//! What a power loss leaves, and how changes take effect.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Change, NameChange, SECTOR_BYTES, State};

impl State {
    /// What is left after a power loss.
    pub(super) fn lose(&mut self, keep_some: bool) {
        // Half of the losses are extreme: all or nothing.
        let mode = if keep_some { self.draw(4) } else { 0 };
        let changes = std::mem::take(&mut self.name_changes);
        for change in changes {
            if mode == 1 || (mode > 1 && self.draw(2) == 0) {
                apply_name(&mut self.durable_names, &change);
            }
        }
        self.names = self.durable_names.clone();
        let numbers: Vec<u64> = self.inodes.keys().copied().collect();
        for number in numbers {
            let mut inode = self.inodes.remove(&number).unwrap_or_default();
            for change in std::mem::take(&mut inode.pending) {
                match mode {
                    0 => {}
                    1 => apply(&mut inode.durable, &change),
                    _ => self.keep_part(&mut inode.durable, &change),
                }
            }
            inode.current = inode.durable.clone();
            if self.names.values().any(|named| *named == number) {
                self.inodes.insert(number, inode);
            }
        }
    }

    fn keep_part(&mut self, content: &mut Vec<u8>, change: &Change) {
        let Change::Write { offset, data } = change else {
            if self.draw(2) == 0 {
                apply(content, change);
            }
            return;
        };
        match self.draw(4) {
            0 => {}
            1 => apply(content, change),
            2 => {
                let len = self.draw(data.len() + 1);
                apply(
                    content,
                    &Change::Write {
                        offset: *offset,
                        data: data[..len].to_vec(),
                    },
                );
            }
            _ => {
                let mut at = 0;
                while at < data.len() {
                    let sector_end = SECTOR_BYTES - (offset + at) % SECTOR_BYTES;
                    let end = (at + sector_end).min(data.len());
                    if self.draw(2) == 0 {
                        let data = data[at..end].to_vec();
                        apply(
                            content,
                            &Change::Write {
                                offset: offset + at,
                                data,
                            },
                        );
                    }
                    at = end;
                }
            }
        }
    }
}

pub(super) fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, data } => {
            if data.is_empty() {
                return;
            }
            if content.len() < offset + data.len() {
                content.resize(offset + data.len(), 0);
            }
            content[*offset..offset + data.len()].copy_from_slice(data);
        }
        Change::Extend { len } if content.len() < *len => content.resize(*len, 0),
        Change::Extend { .. } => {}
    }
}

pub(super) fn apply_name(names: &mut BTreeMap<PathBuf, u64>, change: &NameChange) {
    match change {
        NameChange::Add { path, inode } => {
            names.insert(path.clone(), *inode);
        }
        NameChange::Move { from, to, inode } => {
            if names.get(from) == Some(inode) {
                names.remove(from);
            }
            names.insert(to.clone(), *inode);
        }
        NameChange::Remove { path } => {
            names.remove(path);
        }
    }
}
