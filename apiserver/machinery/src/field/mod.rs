//! Errors about one field of an object, in apimachinery's words.
//!
//! A validation collects [`Error`]s in an [`ErrorList`]; `StatusError::invalid` turns the list into the 422 answer.

mod error;
mod list;
mod path;

pub use error::{BadValue, Error, ErrorKind};
pub use list::ErrorList;
pub use path::Path;
