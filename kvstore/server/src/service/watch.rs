//! The Watch service: one future per stream, moving requests into the shard and its responses out.

use super::StreamCall;
use super::decode;
use crate::errors;
use crate::grpc::Status;
use crate::serve::{Incoming, Pending};
use bytes::Bytes;
use mainstay_proto::etcdserverpb::WatchRequest;
use mainstay_watch::{Poll as Progress, StreamId};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Pieces collected before they are handed to the connection.
const POLLS_PER_WAKE_MAX: usize = 4;
/// Rounds of reading and writing before other streams of the thread get their turn.
const READS_PER_WAKE_MAX: usize = 4;

/// Starts serving a watch stream.
pub(super) fn start(call: StreamCall) -> Pending {
    let id = call.services.desk.open(&call.duplex.inbox);
    let leader_lost = call.head.require_leader.then(|| {
        let mut lost = call.services.leader_lost.subscribe();
        Box::pin(async move {
            // The sender lives as long as the thread.
            let _ = lost.changed().await;
        }) as Pending
    });
    Box::pin(Stream {
        call: Some(call),
        id,
        leader_lost,
        reading: true,
        pieces: Vec::new(),
    })
}

struct Stream {
    call: Option<StreamCall>,
    id: StreamId,
    leader_lost: Option<Pending>,
    reading: bool,
    pieces: Vec<Bytes>,
}

impl Future for Stream {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Some(lost) = &mut this.leader_lost
            && lost.as_mut().poll(cx).is_ready()
        {
            return this.end(errors::NO_LEADER);
        }
        for _ in 0..READS_PER_WAKE_MAX {
            let full = match this.read(cx) {
                Read::Ended(status) => return this.end(status),
                Read::Full => true,
                Read::Waiting => false,
            };
            this.write(cx);
            // Writing may have made room for requests that nobody would announce again.
            if !full || !this.has_room() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// How reading requests came to a stop.
enum Read {
    Ended(Status),
    /// The stream owes too many answers to take more.
    Full,
    Waiting,
}

impl Stream {
    fn has_room(&self) -> bool {
        self.reading
            && self
                .call
                .as_ref()
                .is_some_and(|call| call.services.desk.accepts_requests(self.id))
    }

    /// Takes requests in.
    fn read(&mut self, cx: &mut Context<'_>) -> Read {
        let Some(call) = self.call.as_ref() else {
            return Read::Waiting;
        };
        let desk = &call.services.desk;
        loop {
            if !self.reading || !desk.accepts_requests(self.id) {
                // Still notices when the client goes away.
                call.duplex.inbox.register(cx.waker());
                return match call.duplex.inbox.is_reset() {
                    true => Read::Ended(errors::WATCH_CANCELED),
                    false => Read::Full,
                };
            }
            match call.duplex.poll_next(cx) {
                Poll::Pending => return Read::Waiting,
                Poll::Ready(Incoming::Message(message)) => match decode::<WatchRequest>(message) {
                    Ok(request) => desk.request(self.id, &request),
                    Err(status) => return Read::Ended(status),
                },
                // etcd goes on sending to a client that has closed its side.
                Poll::Ready(Incoming::End) => self.reading = false,
                Poll::Ready(Incoming::Gone) => return Read::Ended(errors::WATCH_CANCELED),
                Poll::Ready(Incoming::Broken(status)) => return Read::Ended(status),
            }
        }
    }

    fn write(&mut self, cx: &mut Context<'_>) {
        let Some(call) = &self.call else { return };
        let desk = &call.services.desk;
        for _ in 0..POLLS_PER_WAKE_MAX {
            if call.duplex.poll_room(cx).is_pending() {
                // Woken when there is room; the shard need not say so again.
                return desk.spread(Some(self.id));
            }
            let progress = desk.poll(self.id, &mut self.pieces);
            if !self.pieces.is_empty() {
                call.duplex.reply.framed(&mut self.pieces);
            }
            if progress == Progress::Idle {
                return desk.spread(Some(self.id));
            }
        }
        // Others of the connection get their turn; the shard lists this stream if it has more.
        desk.spread(None);
    }

    fn end(&mut self, status: Status) -> Poll<()> {
        if let Some(call) = self.call.take() {
            call.services.desk.close(self.id);
            call.services.desk.spread(None);
            call.end(status);
        }
        Poll::Ready(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(call) = &self.call {
            call.services.desk.close(self.id);
        }
    }
}
