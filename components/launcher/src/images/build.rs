//! `mainstay image build`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::files::Tree;
use super::image::{Config, archive};
use super::reference::Reference;
use crate::files;

/// What an image is made of.
#[derive(Args, Debug)]
pub(crate) struct Build {
    /// Name and tag of the image.
    #[arg(long)]
    name: Reference,
    /// A program, with the shared libraries it needs, and its path in the image; /bin/NAME if none is given.
    #[arg(long = "program", value_name = "FILE[=PATH]")]
    programs: Vec<String>,
    /// A folder with all that is in it, and its path in the image; the root if none is given.
    #[arg(long = "folder", value_name = "FOLDER[=PATH]")]
    folders: Vec<String>,
    /// A symbolic link.
    #[arg(long = "link", value_name = "PATH=TARGET")]
    links: Vec<String>,
    /// What is started, a word at a time.
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    entrypoint: Vec<String>,
    /// Its arguments where a pod gives none.
    #[arg(long = "argument", value_name = "WORD", allow_hyphen_values = true)]
    arguments: Vec<String>,
    /// A variable of its environment.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// Under which user it runs, as 1000 or 1000:1000; root if none is given.
    #[arg(long, default_value = "")]
    user: String,
    /// In which folder it starts.
    #[arg(long, default_value = "")]
    workdir: String,
    /// A port it listens at, as 53/udp.
    #[arg(long = "port", value_name = "PORT/PROTOCOL")]
    ports: Vec<String>,
    /// The archive to write, as 'mainstay image load' takes it.
    #[arg(value_name = "FILE.tar")]
    to: PathBuf,
}

/// Builds an image. What is there already with the same content is left alone.
pub(crate) fn build(asked: Build) -> Result<()> {
    let mut tree = Tree::default();
    for folder in &asked.folders {
        let (from, path) = pair(folder);
        tree.copy(Path::new(from), path.unwrap_or_default())?;
    }
    for program in &asked.programs {
        let (from, path) = pair(program);
        let name = Path::new(from).file_name().unwrap_or_default();
        let usual = format!("bin/{}", name.to_string_lossy());
        tree.program(Path::new(from), path.unwrap_or(&usual))?;
    }
    for link in &asked.links {
        let (path, Some(target)) = pair(link) else {
            bail!("--link {link} says not where it leads: PATH=TARGET");
        };
        tree.link(path, target)?;
    }
    let config = Config {
        entrypoint: asked.entrypoint,
        arguments: asked.arguments,
        environment: asked.environment,
        user: asked.user,
        folder: asked.workdir,
        ports: asked.ports,
    };
    let bytes = archive(&asked.name, &tree, &config).context("the image")?;
    files::update(&asked.to, &bytes, 0o644)?;
    Ok(())
}

fn pair(text: &str) -> (&str, Option<&str>) {
    match text.split_once('=') {
        Some((left, right)) => (left, Some(right)),
        None => (text, None),
    }
}
