//! The node's own logs: a folder and what is below it, to be read and nothing else.

use std::io;
use std::path::{Component, Path};

use http::StatusCode;
use hyper::body::Bytes;
use tokio::fs;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;

use super::answer::{Answer, streamed, text, whole};
use crate::limits::{LOG_CHUNK_BYTES, LOG_CHUNKS_WAITING_MAX, NODE_LOGS_LISTED_MAX};

/// A file's contents or a folder's names, as Go's file server has them.
pub(super) async fn page(folder: &Path, path: &str) -> Answer {
    let relative = Path::new(path);
    let normal = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if path.contains('\0') || !relative.components().all(normal) {
        return text(StatusCode::BAD_REQUEST, "invalid URL path\n");
    }
    match open(&folder.join(relative)).await {
        Ok(answer) => answer,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            text(StatusCode::NOT_FOUND, "404 page not found\n")
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            text(StatusCode::FORBIDDEN, "403 Forbidden\n")
        }
        Err(error) => {
            tracing::warn!("a node's log: {error}");
            let why = "500 Internal Server Error\n";
            text(StatusCode::INTERNAL_SERVER_ERROR, why)
        }
    }
}

async fn open(path: &Path) -> io::Result<Answer> {
    // Links of the logs' folder lead where they like, as upstream has it: root has made them.
    let metadata = fs::metadata(path).await?;
    if metadata.is_dir() {
        return list(path).await;
    }
    if !metadata.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut file = fs::File::open(path).await?;
    let (to, parts) = mpsc::channel(LOG_CHUNKS_WAITING_MAX);
    tokio::spawn(async move {
        loop {
            let mut chunk = Vec::with_capacity(LOG_CHUNK_BYTES);
            match file.read_buf(&mut chunk).await {
                Ok(1..) => {}
                _ => return,
            }
            if to.send(Bytes::from(chunk)).await.is_err() {
                return;
            }
        }
    });
    Ok(streamed("text/plain; charset=utf-8", parts))
}

async fn list(path: &Path) -> io::Result<Answer> {
    let mut entries = fs::read_dir(path).await?;
    let mut names = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        if names.len() == NODE_LOGS_LISTED_MAX {
            break;
        }
        let end = match entry.file_type().await?.is_dir() {
            true => "/",
            false => "",
        };
        names.push(format!("{}{end}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    let lines: String = names
        .iter()
        .map(|name| {
            let name = escaped(name);
            format!("<a href=\"{name}\">{name}</a>\n")
        })
        .collect();
    let page = format!("<!doctype html>\n<pre>\n{lines}</pre>\n");
    Ok(whole(StatusCode::OK, "text/html; charset=utf-8", page))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn get(folder: &Path, path: &str) -> (u16, String) {
        let answer = page(folder, path).await;
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a body");
        let text = String::from_utf8(body.to_bytes().to_vec()).expect("text");
        (code, text)
    }

    #[tokio::test]
    async fn nothing_outside_the_folder_is_read() {
        let outer = tempfile::tempdir().expect("a folder");
        let folder = outer.path().join("log");
        std::fs::create_dir_all(folder.join("sub")).expect("made");
        std::fs::write(outer.path().join("secret"), "secret").expect("written");
        std::fs::write(folder.join("sub/a<b"), "text").expect("written");
        assert_eq!(get(&folder, "sub/a<b").await, (200, "text".to_owned()));
        let (code, page) = get(&folder, "").await;
        assert!(code == 200 && page.contains("<a href=\"sub/\">"), "{page}");
        let (_, page) = get(&folder, "sub/").await;
        assert!(page.contains("a&lt;b") && !page.contains("a<b"), "{page}");
        for path in ["../secret", "sub/../../secret", "/etc/passwd", "a\0b"] {
            assert_eq!(get(&folder, path).await.0, 400, "{path:?}");
        }
        assert_eq!(get(&folder, "none").await.0, 404);
    }
}
