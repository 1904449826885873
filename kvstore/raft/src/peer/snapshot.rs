//! A snapshot on its way: the checkpoint's files, one after the other, each in bounded pieces.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use mainstay_wal::DiskFile;
use tokio::time::timeout;

use crate::codec::{
    Malformed, Put, Reader, put_snapshot_meta, put_vote, snapshot_meta_from, vote_from,
};
use crate::env::Env;
use crate::error::Error;
use crate::files::read_piece;
use crate::limits::{
    SNAPSHOT_CHUNK_BYTES, SNAPSHOT_FILES_MAX, SNAPSHOT_IDLE_TIMEOUT, SNAPSHOT_TIMEOUT,
};
use crate::peer::conn::{CallError, Conn};
use crate::peer::message::Call;
use crate::state_dir::{SnapshotDir, StateDir};
use crate::types::{SnapshotMeta, Vote};

/// Sends a checkpoint and waits until the peer has installed it; returns the peer's vote.
pub(crate) async fn send_snapshot<E: Env>(
    env: &E,
    conn: &Conn,
    vote: &Vote,
    meta: &SnapshotMeta,
    dir: &SnapshotDir,
) -> io::Result<Vote> {
    let mut out = BytesMut::new();
    put_vote(&mut out, vote);
    put_snapshot_meta(&mut out, meta);
    step(conn, Call::SnapshotBegin, out.freeze()).await?;
    for name in dir.disk().list(dir.path())? {
        let file = dir.disk().open(&dir.path().join(&name))?;
        let mut out = BytesMut::new();
        out.put_u64_le(file.len()?);
        out.put_len_bytes(name.as_bytes());
        step(conn, Call::SnapshotFile, out.freeze()).await?;
        send_file(env, conn, file).await?;
    }
    let answer = timeout(SNAPSHOT_TIMEOUT, conn.call(Call::SnapshotEnd, Bytes::new()))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        .map_err(|e| match e {
            CallError::Remote(Error::Corrupt) => {
                io::Error::new(io::ErrorKind::InvalidData, "the snapshot is damaged")
            }
            e => io::Error::other(e),
        })?;
    vote_from(&mut Reader::new(answer, "snapshot answer")).map_err(io::Error::other)
}

async fn send_file<E: Env>(env: &E, conn: &Conn, file: Arc<dyn DiskFile>) -> io::Result<()> {
    let mut offset = 0;
    // One piece is being written by the peer while the next is being read here.
    let mut before = None;
    loop {
        let reading = Arc::clone(&file);
        let piece = env
            .blocking(move || read_piece(&*reading, offset, SNAPSHOT_CHUNK_BYTES))
            .await??;
        offset += piece.len() as u64;
        let last = piece.is_empty();
        let sent = match last {
            true => None,
            false => Some(
                conn.submit(Call::SnapshotData, piece)
                    .await
                    .map_err(io::Error::other)?,
            ),
        };
        if let Some(mut waiting) = std::mem::replace(&mut before, sent) {
            timeout(SNAPSHOT_IDLE_TIMEOUT, waiting.answer())
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
                .map_err(io::Error::other)?;
        }
        if last {
            return Ok(());
        }
    }
}

async fn step(conn: &Conn, call: Call, body: Bytes) -> io::Result<()> {
    timeout(SNAPSHOT_IDLE_TIMEOUT, conn.call(call, body))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        .map_err(io::Error::other)?;
    Ok(())
}

/// A snapshot being received on one connection.
#[derive(Debug)]
pub(crate) struct Receiving {
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    dir: SnapshotDir,
    files: usize,
    open: Option<OpenFile>,
}

struct OpenFile {
    file: Arc<dyn DiskFile>,
    written: u64,
    missing: u64,
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile")
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}

impl Receiving {
    pub(crate) fn begin(body: Bytes, dir: &Arc<StateDir>) -> io::Result<Self> {
        let mut r = Reader::new(body, "snapshot start");
        let mut parse = || -> Result<(Vote, SnapshotMeta), Malformed> {
            Ok((vote_from(&mut r)?, snapshot_meta_from(&mut r)?))
        };
        let (vote, meta) = parse().map_err(io::Error::other)?;
        let dir = dir.new_database()?;
        Ok(Self {
            vote,
            meta,
            dir,
            files: 0,
            open: None,
        })
    }

    pub(crate) fn file(&mut self, body: Bytes) -> io::Result<()> {
        self.finish_file()?;
        let mut r = Reader::new(body, "snapshot file");
        let (size, name) =
            (|| Ok::<_, Malformed>((r.u64()?, r.string()?)))().map_err(io::Error::other)?;
        self.files += 1;
        let plain = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            && name.bytes().any(|b| b != b'.');
        if !plain || self.files > SNAPSHOT_FILES_MAX {
            return Err(io::Error::other(
                "a snapshot has a file that cannot be one of it",
            ));
        }
        let file = self.dir.disk().create(&self.dir.path().join(name))?;
        self.open = Some(OpenFile {
            file,
            written: 0,
            missing: size,
        });
        Ok(())
    }

    /// Takes one piece; writes on a thread that may block.
    pub(crate) async fn data(&mut self, env: &impl Env, body: Bytes) -> io::Result<()> {
        let mut open = self
            .open
            .take()
            .ok_or_else(|| io::Error::other("no snapshot file open"))?;
        open.missing = open
            .missing
            .checked_sub(body.len() as u64)
            .ok_or_else(|| io::Error::other("a snapshot file is longer than announced"))?;
        let (file, at) = (Arc::clone(&open.file), open.written);
        open.written += body.len() as u64;
        env.blocking(move || file.write_at(&[IoSlice::new(&body)], at))
            .await??;
        self.open = Some(open);
        Ok(())
    }

    fn finish_file(&mut self) -> io::Result<()> {
        match self.open.take() {
            Some(open) if open.missing > 0 => Err(io::Error::other(
                "a snapshot file is shorter than announced",
            )),
            _ => Ok(()),
        }
    }

    /// All files are here.
    pub(crate) fn end(mut self) -> io::Result<(Vote, SnapshotMeta, SnapshotDir)> {
        self.finish_file()?;
        Ok((self.vote, self.meta, self.dir))
    }
}
