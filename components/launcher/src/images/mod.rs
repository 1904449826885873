//! Container images without a registry, built from programs and folders.
//!
//! The same content makes the same image, byte for byte, whoever builds it and when: files are in order, belong to
//! root, and were changed in 1970.

mod archive;
mod build;
mod elf;
mod files;
mod image;
mod libraries;
mod pause;
mod reference;

pub(crate) use build::{Build, build};
pub(crate) use files::Tree;
pub(crate) use image::{Config, archive};
pub(crate) use pause::pause;
#[cfg(test)]
pub(crate) use reference::Reference;
