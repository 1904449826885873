//! Limits of this crate, in one place.

/// Bytes one line of a history may have: a range over everything is the largest record there is.
pub const LINE_BYTES_MAX: usize = 64 << 20;

/// Bad lines that are reported one by one; the others are only counted.
pub const BAD_LINES_MAX: usize = 100;

/// Bytes the writer of a history gathers before it hands them to the file.
pub const WRITE_BUFFER_BYTES: usize = 256 << 10;
