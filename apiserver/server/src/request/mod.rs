//! What a request says.

mod accept;
mod info;
mod options;

pub(crate) use accept::{Accepted, Encoding, Form, Offer, is_for_people, names_any, negotiate};
pub(crate) use info::{Info, Target};
pub(crate) use options::{
    ListOptions, Match, Query, WriteOptions, invalid_options, validate_dry_run,
};
