//! The image of the process that holds a pod's namespaces.

use super::files::{FilesError, Tree};
use super::image::Config;

/// A program of its own, static, built together with this one.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

/// Files and configuration of the image.
///
/// # Errors
/// None that can happen: it is one file.
pub(crate) fn pause() -> Result<(Tree, Config), FilesError> {
    let mut files = Tree::default();
    files.file("pause", PROGRAM.to_vec(), 0o755)?;
    let config = Config {
        entrypoint: vec!["/pause".to_owned()],
        user: "65535:65535".to_owned(),
        ..Config::default()
    };
    Ok((files, config))
}

#[cfg(test)]
mod tests {
    use super::super::elf::needs;
    use super::*;

    #[test]
    fn it_needs_no_library() {
        let needs = needs(PROGRAM).expect("it is a program");
        assert_eq!((needs.interpreter, needs.libraries), (None, vec![]));
        assert!(PROGRAM.len() < 2 << 20, "{} bytes", PROGRAM.len());
        assert!(pause().is_ok());
    }
}
