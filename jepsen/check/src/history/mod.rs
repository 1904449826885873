//! What a run recorded: operations, watch responses, faults and what the members held at the end.
//!
//! One JSON object per line, tagged by its kind: `{"operation":{…}}`, `{"watch":{…}}`, `{"fault":{…}}`,
//! `{"member":{…}}`, `{"log":{…}}` and, first of all, `{"run":{…}}`. Absent and default fields are left
//! out. Times are nanoseconds of one monotonic clock since the start of the run.
//!
//! Three rules for whoever records, without which no verdict is worth anything:
//!
//! 1. A client runs one operation at a time. After an unknown outcome it goes on under a **new** client
//!    number, so that the order of one client's operations is total.
//! 2. `fail` is said only of what certainly had no effect. Everything else without an answer is
//!    `unknown`. A read without an answer may be either.
//! 3. Nothing is retried under the same operation.

mod answer;
mod blob;
mod file;
mod op;
mod record;
mod run;
mod store;
mod watch;

pub use self::answer::{Answer, Failure, FailureKind, KeyValue, OpResult};
pub use self::blob::Blob;
pub(crate) use self::file::read_lines;
pub use self::file::{BadLine, HistoryWriter, Reading, read_file, read_history};
pub(crate) use self::op::is_false;
pub use self::op::{Cmp, Compare, DeleteOp, GrantOp, Op, OpKind, PutOp, RangeOp, Target, TxnOp};
pub use self::record::{Fault, LogFinding, LogLevel, MemberFacts, Operation, Outcome, Record};
pub use self::run::{Demand, RunInfo};
pub use self::store::History;
pub use self::watch::{Event, EventKind, Filter, WatchNews, WatchRecord, WatchRequest};
