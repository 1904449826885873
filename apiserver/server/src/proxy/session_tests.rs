use super::*;
use futures_util::stream;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{DuplexStream, duplex};

const ALL: Wanted = Wanted {
    stdin: true,
    stdout: true,
    stderr: true,
    tty: false,
};

/// A client that keeps what it is sent.
#[derive(Default)]
struct Kept(Vec<Vec<u8>>);

impl Sink<Message> for Kept {
    type Error = SocketError;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, item: Message) -> Result<(), SocketError> {
        self.0.push(item.into_data().to_vec());
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Poll::Ready(Ok(()))
    }
}

fn reply(stream: u8) -> [u8; 12] {
    [0x80, 3, 0, 2, 0, 0, 0, 4, 0, 0, 0, stream]
}

fn data(stream: u32, fin: bool, bytes: &[u8]) -> Vec<u8> {
    [&spdy::data_head(stream, fin, bytes.len())[..], bytes].concat()
}

/// What a client is sent, and how the command ended, when a kubelet says `said`.
async fn told(wanted: Wanted, said: &[u8]) -> (Vec<Vec<u8>>, Result<Value, String>) {
    let (mut kubelet, mut own): (DuplexStream, DuplexStream) = duplex(1 << 20);
    kubelet.write_all(said).await.unwrap();
    drop(kubelet);
    let mut client = Kept::default();
    let (streams, _) = Streams::open(wanted);
    let (opened, _are_open) = oneshot::channel();
    let (answers, _to_answer) = mpsc::channel(1);
    let activity = Activity::new();
    let down = Down {
        from: &mut own,
        client: &mut client,
        streams,
        opened: Some(opened),
        answers,
        activity: &activity,
    };
    let end = down.run().await;
    (client.0, end)
}

fn replies(count: u8) -> Vec<u8> {
    (0..count).flat_map(|at| reply(at * 2 + 1)).collect()
}

#[tokio::test]
async fn output_and_the_end_of_a_command_reach_the_client() {
    let said = [
        replies(4),
        data(5, false, b"out"),
        data(7, true, b"err"),
        data(5, true, b""),
        data(1, true, b"{\"metadata\":{},\"status\":\"Success\"}"),
    ]
    .concat();
    let (sent, end) = told(ALL, &said).await;
    assert_eq!(sent, [b"\x01out".to_vec(), b"\x02err".to_vec()]);
    assert_eq!(end.unwrap()["status"], "Success");
}

#[tokio::test]
async fn streams_that_are_reset_have_ended() {
    let reset = |stream| spdy::refuse(stream).to_vec();
    let said = [replies(4), reset(5), reset(7), reset(1)].concat();
    let (_, end) = told(ALL, &said).await;
    assert_eq!(end.unwrap()["status"], "Success");
}

#[tokio::test]
async fn a_connection_that_ends_early_is_no_success() {
    let said = [replies(4), data(5, false, b"out")].concat();
    let (sent, end) = told(ALL, &said).await;
    assert_eq!((sent.len(), end.is_err()), (1, true));
    let refused = [reply(1).to_vec(), spdy::refuse(3).to_vec()].concat();
    let (_, end) = told(ALL, &refused).await;
    assert_eq!(end.unwrap_err(), "a stream was refused");
}

#[tokio::test]
async fn a_terminal_has_one_output_and_a_size() {
    let tty = Wanted { tty: true, ..ALL };
    let (streams, _) = Streams::open(tty);
    let expected = Streams {
        status: 1,
        stdin: Some(3),
        stdout: Some(5),
        stderr: None,
        resize: Some(7),
    };
    assert_eq!(streams, expected);
}

#[test]
fn messages_are_taken_apart_by_their_first_bytes() {
    let mut inputs = Inputs {
        stdin: Some(3),
        resize: None,
    };
    let mut take = |message: &'static [u8]| inputs.take(Bytes::from_static(message));
    let piece = |bytes: &'static [u8], fin| {
        Ok(Some(Piece {
            stream: 3,
            bytes: Bytes::from_static(bytes),
            fin,
        }))
    };
    assert_eq!(take(b"\0in"), piece(b"in", false));
    for nothing in [
        &b""[..],
        b"\0",
        b"\x01out",
        b"\x04{}",
        b"\x09x",
        b"\xff\x01",
    ] {
        assert_eq!(take(nothing), Ok(None), "{nothing:?}");
    }
    for crooked in [&b"\xff"[..], b"\xff\x05", b"\xff\0\0"] {
        assert_eq!(take(crooked), Err(Crooked), "{crooked:?}");
    }
    assert_eq!(take(b"\xff\0"), piece(b"", true));
    // It ends once.
    assert_eq!(take(b"\xff\0"), Ok(None));
    assert_eq!(take(b"\0in"), Ok(None));
}

#[tokio::test]
async fn input_reaches_the_kubelet_and_ends_there() {
    let (streams, _) = Streams::open(ALL);
    let (opened, are_open) = oneshot::channel();
    opened.send(()).unwrap();
    let (pieces, to_write) = mpsc::channel(4);
    let (_answers, to_answer) = mpsc::channel(1);
    let messages = [&b"\0in"[..], b"\xff\0"].map(|bytes| Ok(Message::binary(bytes)));
    let mut messages = stream::iter(messages);
    let activity = Activity::new();
    up(&mut messages, streams, are_open, pieces, &activity).await;
    let (mut kubelet, mut own) = duplex(1 << 10);
    let expected = [data(3, false, b"in"), data(3, true, b"")].concat();
    let mut read = vec![0; expected.len()];
    tokio::select! {
        e = write(&mut own, to_write, to_answer, &activity) => panic!("{e}"),
        done = kubelet.read_exact(&mut read) => drop(done.unwrap()),
    }
    assert_eq!(read, expected);
}
