//! Histories of clients of the Kubernetes API, and their judge.
//!
//! The truth is what the store itself told a witness: every change below the servers' prefix, in order, from the first
//! revision on. Everything a client was answered is compared with it.
//!
//! | Checker | What is promised, and checked |
//! |---|---|
//! | `writes` | An acknowledged write is in the store at the revision that was answered, with the content that was answered. What was refused is not. An update or deletion that names a version succeeds that version and no other; so does one of unknown outcome, if it happened. A write happens once. |
//! | `objects` | A uid belongs to one life of one object. An epoch never goes back. |
//! | `reads` | A read without a resource version shows one moment of the store between its call and its return: whatever anybody had been told before the call is in it. A read "not older than N" shows a moment from N on. A read of version 0 shows some moment, and on one connection to one server never an earlier one than that server's caches had shown there before. |
//! | `lists` | The same of lists; and a list is the whole state at its revision, filtered: nothing torn, missing or too much, over all its pages. |
//! | `informers` | From the revision of its list, or from where it left off, a watch tells every change that its selector sees, once, in order, as what it is to the selector, deletions with the last state. A bookmark is true: nothing up to it follows. The state that a watch begins with is the state at the revision of the bookmark that ends it. |
//! | `services` | At every revision a cluster address and a node port have one owner, and a service has only what is reserved. |
//! | `endings` | While a server ends in an orderly way and nothing else is wrong, a request fails only because it was not sent. |
//!
//! What is *not* promised and not checked: that versions of cached reads on different servers, or on one after it was
//! started again, do not go back; how soon a cache follows.
//!
//! Times are those of one clock, so "before" is meant literally. Bounds on the store's revision at a moment come from
//! answers alone: the greatest revision anybody had been told of by then, and the least that was later written.

mod coverage;
mod endings;
mod history;
mod informers;
mod judge;
mod lists;
mod moments;
mod objects;
mod reads;
mod services;
mod truth;
mod writes;

pub use self::history::{
    ApiHistory, ApiReading, ApiRecord, ApiRun, Ask, Begin, Call, Change, Final, Informer,
    InformerEvent, Item, Listed, News, Seen, Selection, State, Verb, read_api_file,
};
pub use self::judge::judge_api;
