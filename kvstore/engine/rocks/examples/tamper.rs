//! Changes the value of one live record behind everybody's back, with valid checksums: what comparing replicas must
//! find, and nothing else can. `tamper DATABASE KEY`; the database must not be open.

#![allow(clippy::print_stdout, reason = "a command-line tool")]

use anyhow::{Context, ensure};
use mainstay_engine::{Batch, Cf, Engine, Read};
use mainstay_engine_rocks::{RocksEngine, RocksOptions};
use std::path::Path;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, key] = &arguments[..] else {
        anyhow::bail!("usage: tamper DATABASE KEY");
    };
    let options = RocksOptions {
        must_exist: true,
        ..RocksOptions::default()
    };
    let engine = RocksEngine::open(Path::new(database), &options)?;
    let record = engine.get(Cf::Live, key.as_bytes())?;
    let mut record = record.context("there is no such key")?.to_vec();
    // A record ends with its value.
    let last = record.last_mut().context("the record is empty")?;
    *last ^= 1;
    let mut batch = Batch::new();
    batch.put(Cf::Live, key.as_bytes(), &record);
    engine.write(&batch)?;
    engine.flush()?;
    let now = engine.get(Cf::Live, key.as_bytes())?;
    ensure!(
        now.as_deref() == Some(&record[..]),
        "the record is as it was"
    );
    println!("changed the last byte of {key}");
    Ok(())
}
