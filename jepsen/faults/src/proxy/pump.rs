//! One direction of one connection: reading, holding back as the rule says, writing.

use super::Direction;
use super::link::{Commands, Link, Shape};
use crate::limits::{PROXY_CHUNK_BYTES, PROXY_CHUNKS_MAX};
use rand::Rng;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Kept for less than this counts as passed at once.
const HELD: Duration = Duration::from_millis(1);
/// A narrow wire passes what it may pass in this time at once.
const SLICE: Duration = Duration::from_millis(20);

/// Where a direction gets its rule from and what it counts on.
pub(super) struct Pump<'a> {
    link: &'a Link,
    direction: Direction,
    commands: watch::Receiver<Commands>,
    closes: u64,
}

struct Chunk {
    bytes: Vec<u8>,
    taken: Instant,
    /// Between 0 and 1: how much of the jitter this chunk gets.
    luck: f64,
}

impl<'a> Pump<'a> {
    pub(super) fn new(link: &'a Link, direction: Direction) -> Self {
        let commands = link.follow();
        let closes = closes(&commands.borrow(), direction);
        Self {
            link,
            direction,
            commands,
            closes,
        }
    }

    fn shape(&mut self) -> Shape {
        let rule = self.commands.borrow_and_update().rule;
        match self.direction {
            Direction::Toward => rule.toward,
            Direction::Back => rule.back,
        }
    }

    fn closed(&self) -> bool {
        closes(&self.commands.borrow(), self.direction) > self.closes
    }

    fn passed(&self, bytes: usize) {
        let tally = &self.link.tally;
        let counter = match self.direction {
            Direction::Toward => &tally.bytes_toward,
            Direction::Back => &tally.bytes_back,
        };
        counter.fetch_add(bytes as u64, Ordering::AcqRel);
        tally
            .pending_bytes
            .fetch_sub(bytes as u64, Ordering::AcqRel);
    }

    fn held(&self, since: Instant) {
        let held = since.elapsed();
        if held >= HELD {
            let micros = u64::try_from(held.as_micros()).unwrap_or(u64::MAX);
            self.link.tally.held_chunks.fetch_add(1, Ordering::AcqRel);
            self.link
                .tally
                .held_micros
                .fetch_add(micros, Ordering::AcqRel);
        }
    }

    /// Waits until the chunk may pass, following changes of the rule. False if the direction was closed meanwhile.
    async fn wait(&mut self, chunk: &Chunk, free: Instant) -> bool {
        loop {
            let shape = self.shape();
            if self.closed() {
                return false;
            }
            if shape.stall {
                // The sender of commands lives as long as the link, which outlives this direction.
                let _ = self.commands.changed().await;
                continue;
            }
            let due = chunk.taken + shape.delay + shape.jitter.mul_f64(chunk.luck);
            let due = if shape.bytes_per_second.is_some() {
                due.max(free)
            } else {
                due
            };
            if due <= Instant::now() {
                return true;
            }
            tokio::select! {
                () = sleep_until(due) => {}
                _ = self.commands.changed() => {}
            }
        }
    }
}

fn closes(commands: &Commands, direction: Direction) -> u64 {
    match direction {
        Direction::Toward => commands.closes_toward,
        Direction::Back => commands.closes_back,
    }
}

/// Carries bytes until their sender ends (which is passed on) or either side fails.
pub(super) async fn run(pump: Pump<'_>, from: ReadHalf<'_>, to: WriteHalf<'_>) -> io::Result<()> {
    let (sender, receiver) = channel(PROXY_CHUNKS_MAX);
    let link = pump.link;
    tokio::try_join!(read(link, from, sender), write(pump, to, receiver))?;
    Ok(())
}

async fn read(link: &Link, mut from: ReadHalf<'_>, queue: Sender<Chunk>) -> io::Result<()> {
    loop {
        let mut bytes = vec![0; PROXY_CHUNK_BYTES];
        let taken = from.read(&mut bytes).await?;
        if taken == 0 {
            return Ok(());
        }
        bytes.truncate(taken);
        link.tally
            .pending_bytes
            .fetch_add(taken as u64, Ordering::AcqRel);
        let chunk = Chunk {
            bytes,
            taken: Instant::now(),
            luck: rand::rng().random(),
        };
        if queue.send(chunk).await.is_err() {
            return Ok(());
        }
    }
}

async fn write(
    mut pump: Pump<'_>,
    mut to: WriteHalf<'_>,
    mut queue: Receiver<Chunk>,
) -> io::Result<()> {
    // When the narrow wire is free again.
    let mut free = Instant::now();
    loop {
        if pump.closed() {
            return discard(&pump, &mut to, &mut queue, 0).await;
        }
        let chunk = tokio::select! {
            chunk = queue.recv() => chunk,
            // A close must act on a silent connection, too.
            _ = pump.commands.changed() => continue,
        };
        let Some(chunk) = chunk else {
            return to.shutdown().await;
        };
        let mut rest = chunk.bytes.as_slice();
        while !rest.is_empty() {
            if !pump.wait(&chunk, free).await {
                let left = rest.len();
                return discard(&pump, &mut to, &mut queue, left).await;
            }
            let slice = slice(pump.shape(), rest.len());
            // Counted first: who has received something finds it counted.
            pump.passed(slice);
            to.write_all(&rest[..slice]).await?;
            rest = &rest[slice..];
            if let Some(rate) = pump.shape().bytes_per_second {
                free = free.max(Instant::now()) + cost(slice, rate.get());
            }
        }
        pump.held(chunk.taken);
    }
}

/// How much may be written at once.
fn slice(shape: Shape, rest: usize) -> usize {
    let Some(rate) = shape.bytes_per_second else {
        return rest;
    };
    let bytes = u128::from(rate.get()) * SLICE.as_millis() / 1_000;
    rest.min(usize::try_from(bytes).unwrap_or(usize::MAX).max(1))
}

/// How long a wire of this rate is busy with so many bytes.
fn cost(bytes: usize, bytes_per_second: u64) -> Duration {
    let nanos = bytes as u128 * 1_000_000_000 / u128::from(bytes_per_second);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Ends the direction for the receiver, and throws away what the sender still sends.
async fn discard(
    pump: &Pump<'_>,
    to: &mut WriteHalf<'_>,
    queue: &mut Receiver<Chunk>,
    left: usize,
) -> io::Result<()> {
    to.shutdown().await?;
    let tally = &pump.link.tally;
    tally.half_closed.fetch_add(1, Ordering::AcqRel);
    let thrown = |bytes: usize| {
        tally
            .discarded_bytes
            .fetch_add(bytes as u64, Ordering::AcqRel);
        tally
            .pending_bytes
            .fetch_sub(bytes as u64, Ordering::AcqRel);
    };
    thrown(left);
    while let Some(chunk) = queue.recv().await {
        thrown(chunk.bytes.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_wires_are_cut_into_slices() {
        let shape = |rate| Shape::trickle(std::num::NonZeroU64::new(rate).unwrap());
        assert_eq!(slice(Shape::default(), 5_000), 5_000);
        assert_eq!(slice(shape(1_000), 5_000), 20);
        assert_eq!(slice(shape(1), 5_000), 1);
        assert_eq!(cost(20, 1_000), SLICE);
    }
}
