//! Lets a client in another process break the cluster: one line asks, one line answers.
//!
//! `kill N`, `start N`, `leader`, `pause N`, `resume N`, where N is the index of a member. The answer is `ok`, a
//! number, or `error TEXT`. One connection at a time; a connection may ask any number of times.

use crate::cluster::Cluster;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Serves the control protocol until the surrounding future is dropped.
pub async fn serve(listener: TcpListener, cluster: &mut Cluster) {
    while let Ok((stream, _)) = listener.accept().await {
        // A client that goes away mid-line has nothing more to ask.
        let _ = converse(stream, cluster).await;
    }
}

async fn converse(stream: TcpStream, cluster: &mut Cluster) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = obey(&line, cluster).await;
        writer.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

async fn obey(line: &str, cluster: &mut Cluster) -> String {
    let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
    let index = argument
        .parse::<usize>()
        .ok()
        .filter(|&index| index < cluster.len());
    match (verb, index) {
        ("leader", _) => return cluster.leader().await.to_string(),
        ("kill", Some(index)) => cluster.kill(index),
        ("start", Some(index)) => cluster.start_member(index).await,
        ("pause", Some(index)) => cluster.pause(index),
        ("resume", Some(index)) => cluster.resume(index),
        _ => return format!("error unknown request {line:?}"),
    }
    "ok".to_owned()
}
