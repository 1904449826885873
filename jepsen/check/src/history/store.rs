//! A history in memory.

use super::record::{Fault, LogFinding, MemberFacts, Operation, Record};
use super::run::RunInfo;
use super::watch::WatchRecord;

/// All records of a run, by kind, each kind in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    pub run: RunInfo,
    pub operations: Vec<Operation>,
    pub watches: Vec<WatchRecord>,
    pub faults: Vec<Fault>,
    pub members: Vec<MemberFacts>,
    pub logs: Vec<LogFinding>,
}

impl History {
    pub fn push(&mut self, record: Record) {
        match record {
            Record::Run(run) => self.run = run,
            Record::Operation(operation) => self.operations.push(operation),
            Record::Watch(watch) => self.watches.push(watch),
            Record::Fault(fault) => self.faults.push(fault),
            Record::Member(facts) => self.members.push(facts),
            Record::Log(finding) => self.logs.push(finding),
        }
    }
}

impl Extend<Record> for History {
    fn extend<I: IntoIterator<Item = Record>>(&mut self, records: I) {
        for record in records {
            self.push(record);
        }
    }
}

impl FromIterator<Record> for History {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut history = Self::default();
        history.extend(records);
        history
    }
}
