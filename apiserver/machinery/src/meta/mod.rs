//! `metadata` of any object: accessors, generated names, times.

mod accessors;
mod annotate;
mod generate;
mod time;

pub use accessors::*;
pub use annotate::{
    add_finalizer, remove_finalizer, set_annotation, set_generation, set_label, set_name,
    set_namespace, set_text, set_uid,
};
pub use generate::{generate_uid, generated_name, random_suffix};
pub use time::{
    Instant, MicroTime, ParseTimeError, Time, format_micro_time, format_time, normalize_micro_time,
    normalize_time, parse_micro_time, parse_time,
};
