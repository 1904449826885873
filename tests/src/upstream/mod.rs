//! Side by side with the originals: upstream's kube-apiserver on upstream's etcd, and ours on our store.
//!
//! What is asked is data in `tests/upstream`: `objects/*.yaml` are created one after the other and shown as tables,
//! `http/*.http` are requests word for word, `sessions/*.sh` are lines of shell in which kubectl talks to the server.
//! Every answer is made comparable (`normal`) and becomes a section of text under a title; two lists of sections are
//! compared. `golden/` holds what upstream answered, so that the comparison is possible without the originals;
//! `accepted.txt` holds the titles of answers that differ for a reason.

mod client;
mod contender;
mod differ;
mod kubectl;
mod normal;
mod objects;
mod requests;
mod section;
mod session;

pub use client::{Client, Request, Response};
pub use contender::{Contender, Pki};
pub use differ::{Accepted, Difference, compare};
pub use kubectl::Kubectl;
pub use normal::{normal_json, normal_text};
pub use objects::create_objects;
pub use requests::send_requests;
pub use section::{Section, parse_sections, write_sections};
pub use session::run_session;

use std::path::{Path, PathBuf};

/// The folder of what is asked.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("upstream")
}

/// The kinds of files of questions, in the order they are asked, with the ends of their names.
pub const KINDS: [(&str, &str); 3] = [("objects", "yaml"), ("http", "http"), ("sessions", "sh")];

/// Files of one kind, by name.
pub fn files(kind: &str, end: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder().join(kind)) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|found| found == end))
        .collect();
    files.sort();
    files
}

/// What upstream answered to a file, such as `objects/core`, when it was asked last.
pub fn golden(name: &str) -> Vec<Section> {
    let path = folder().join("golden").join(format!("{name}.txt"));
    parse_sections(&std::fs::read_to_string(path).unwrap_or_default())
}

/// Asks everything in a file. `kubectl` is used by sessions only.
pub async fn ask(contender: &Contender, file: &Path, kubectl: &Path) -> Vec<Section> {
    let text = std::fs::read_to_string(file).expect("a file of questions");
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    match file.extension().and_then(|end| end.to_str()) {
        Some("yaml") => create_objects(contender, &text).await,
        Some("http") => send_requests(contender, &text).await,
        _ => run_session(contender, &stem, &text, kubectl).await,
    }
}

/// Makes what controllers would make, so that pods can be created: namespaces of the sessions with a service account.
pub async fn prepare(contender: &Contender) {
    let sessions = files("sessions", "sh");
    let mut namespaces: Vec<String> = sessions
        .iter()
        .filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    namespaces.extend(["objects", "default"].map(str::to_owned));
    for namespace in namespaces {
        let paths = [
            (
                "/api/v1/namespaces".to_owned(),
                "Namespace",
                namespace.as_str(),
            ),
            (
                format!("/api/v1/namespaces/{namespace}/serviceaccounts"),
                "ServiceAccount",
                "default",
            ),
        ];
        for (path, kind, name) in paths {
            let request = Request {
                method: "POST".to_owned(),
                path,
                headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
                body: format!(
                    r#"{{"apiVersion":"v1","kind":"{kind}","metadata":{{"name":"{name}"}}}}"#
                ),
            };
            let response = contender.client.send(&request).await;
            let status = response.map(|response| response.status);
            assert!(matches!(status, Ok(201 | 409)), "{kind} {name}: {status:?}");
        }
    }
}
