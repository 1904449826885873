//! A snapshot on its way: the checkpoint's files, one after the other, each in bounded pieces.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::codec::{
    Malformed, Put, Reader, put_snapshot_meta, put_vote, snapshot_meta_from, vote_from,
};
use crate::limits::{
    SNAPSHOT_CHUNK_BYTES, SNAPSHOT_FILES_MAX, SNAPSHOT_IDLE_TIMEOUT, SNAPSHOT_TIMEOUT,
};
use crate::peer::conn::Conn;
use crate::peer::message::Call;
use crate::state_dir::{SnapshotDir, StateDir};
use crate::types::{SnapshotMeta, Vote};

/// Sends a checkpoint and waits until the peer has installed it; returns the peer's vote.
pub(crate) async fn send_snapshot(
    conn: &Conn,
    vote: &Vote,
    meta: &SnapshotMeta,
    dir: &SnapshotDir,
) -> io::Result<Vote> {
    let mut out = BytesMut::new();
    put_vote(&mut out, vote);
    put_snapshot_meta(&mut out, meta);
    step(conn, Call::SnapshotBegin, out.freeze()).await?;
    let mut files = tokio::fs::read_dir(dir.path()).await?;
    while let Some(entry) = files.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut out = BytesMut::new();
        out.put_u64_le(entry.metadata().await?.len());
        out.put_len_bytes(name.as_bytes());
        step(conn, Call::SnapshotFile, out.freeze()).await?;
        send_file(conn, &entry.path()).await?;
    }
    let answer = timeout(SNAPSHOT_TIMEOUT, conn.call(Call::SnapshotEnd, Bytes::new()))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        .map_err(io::Error::other)?;
    vote_from(&mut Reader::new(answer, "snapshot answer")).map_err(io::Error::other)
}

async fn send_file(conn: &Conn, path: &Path) -> io::Result<()> {
    let mut file = tokio::fs::File::open(path).await?;
    // One piece is being written by the peer while the next is being read here.
    let mut before = None;
    loop {
        let mut piece = BytesMut::with_capacity(SNAPSHOT_CHUNK_BYTES);
        while piece.len() < SNAPSHOT_CHUNK_BYTES {
            let room = (SNAPSHOT_CHUNK_BYTES - piece.len()) as u64;
            if (&mut file).take(room).read_buf(&mut piece).await? == 0 {
                break;
            }
        }
        let last = piece.is_empty();
        let sent = match last {
            true => None,
            false => Some(
                conn.submit(Call::SnapshotData, piece.freeze())
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

#[derive(Debug)]
struct OpenFile {
    file: std::fs::File,
    missing: u64,
}

impl Receiving {
    pub(crate) fn begin(body: Bytes, dir: &Arc<StateDir>) -> io::Result<Self> {
        let mut r = Reader::new(body, "snapshot start");
        let mut parse = || -> Result<(Vote, SnapshotMeta), Malformed> {
            Ok((vote_from(&mut r)?, snapshot_meta_from(&mut r)?))
        };
        let (vote, meta) = parse().map_err(io::Error::other)?;
        let dir = dir.new_snapshot();
        std::fs::create_dir(dir.path())?;
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
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(self.dir.path().join(name))?;
        self.open = Some(OpenFile {
            file,
            missing: size,
        });
        Ok(())
    }

    /// Takes one piece; writes on a thread that may block.
    pub(crate) async fn data(&mut self, body: Bytes) -> io::Result<()> {
        let mut open = self
            .open
            .take()
            .ok_or_else(|| io::Error::other("no snapshot file open"))?;
        open.missing = open
            .missing
            .checked_sub(body.len() as u64)
            .ok_or_else(|| io::Error::other("a snapshot file is longer than announced"))?;
        let open = spawn_blocking(move || open.file.write_all(&body).map(|()| open))
            .await
            .map_err(io::Error::other)??;
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
