//! The apiservers that are known, and which of them is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use tokio::sync::Notify;

/// All of one cluster; each has the same objects.
#[derive(Debug)]
pub(crate) struct Servers {
    all: Vec<Server>,
    current: AtomicUsize,
}

#[derive(Debug)]
struct Server {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end.
    path: String,
    /// Told when it does not answer: what streams from it is cut, to be resumed elsewhere.
    silent: Arc<Notify>,
}

/// One of them, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) number: usize,
    pub(crate) authority: Authority,
    /// See [`Servers::silent`].
    pub(crate) silent: Arc<Notify>,
}

impl Servers {
    /// Fails with the first URL that is none of a server.
    pub(crate) fn new(urls: &[Uri]) -> Result<Self, String> {
        let all: Option<Vec<Server>> = urls.iter().map(Server::of).collect();
        match all {
            Some(all) if !all.is_empty() => Ok(Self {
                all,
                current: AtomicUsize::new(0),
            }),
            _ => {
                let wrong = urls.iter().find(|url| Server::of(url).is_none());
                Err(wrong.map(Uri::to_string).unwrap_or_default())
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn chosen(&self) -> Chosen {
        let number = self.current.load(Ordering::Relaxed) % self.all.len();
        let server = &self.all[number];
        Chosen {
            number,
            authority: server.authority.clone(),
            silent: Arc::clone(&server.silent),
        }
    }

    /// The address of a request at a server; `wanted` has a path and a query.
    pub(crate) fn uri(&self, chosen: &Chosen, wanted: &Uri) -> Result<Uri, http::Error> {
        let server = &self.all[chosen.number];
        let rest = wanted.path_and_query().map_or("/", PathAndQuery::as_str);
        Uri::builder()
            .scheme(server.scheme.clone())
            .authority(server.authority.clone())
            .path_and_query(format!("{}{rest}", server.path))
            .build()
    }

    /// Another one is asked from now on. Says whether there is one.
    pub(crate) fn avoid(&self, chosen: &Chosen, silent: bool) -> bool {
        if self.all.len() < 2 {
            return false;
        }
        let next = (chosen.number + 1) % self.all.len();
        // Whoever else had the same trouble may have moved on already.
        let moved = self.current.compare_exchange(
            chosen.number,
            next,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if moved.is_ok() {
            let (from, to) = (&chosen.authority, &self.all[next].authority);
            tracing::warn!(%from, %to, "an apiserver does not answer: another one is asked");
        }
        if silent {
            chosen.silent.notify_waiters();
        }
        true
    }
}

impl Server {
    fn of(url: &Uri) -> Option<Self> {
        let scheme = url.scheme().cloned()?;
        let known = scheme == Scheme::HTTP || scheme == Scheme::HTTPS;
        let server = Self {
            scheme,
            authority: url.authority().cloned()?,
            path: url.path().trim_end_matches('/').to_owned(),
            silent: Arc::default(),
        };
        known.then_some(server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(urls: &[&str]) -> Result<Servers, String> {
        let urls: Vec<Uri> = urls
            .iter()
            .map(|url| url.parse().expect("it is a URL"))
            .collect();
        Servers::new(&urls)
    }

    #[test]
    fn requests_go_to_one_server_until_it_fails() {
        let two = servers(&["https://a:6443", "https://b/prefix/"]).expect("both are fine");
        let wanted: Uri = "/api/v1/pods?limit=1".parse().expect("it is a path");
        let first = two.chosen();
        let at = |chosen: &Chosen| two.uri(chosen, &wanted).expect("a URL").to_string();
        assert_eq!(at(&first), "https://a:6443/api/v1/pods?limit=1");
        assert!(two.avoid(&first, false));
        let second = two.chosen();
        assert_eq!(at(&second), "https://b/prefix/api/v1/pods?limit=1");
        assert!(two.avoid(&first, false), "old news");
        assert_eq!(at(&two.chosen()), at(&second));
        assert!(two.avoid(&second, false));
        assert_eq!(at(&two.chosen()), at(&first));
    }

    #[test]
    fn one_server_is_asked_whatever_happens_and_none_is_an_error() {
        let one = servers(&["http://a:1"]).expect("it is fine");
        assert!(!one.avoid(&one.chosen(), true));
        assert_eq!(one.count(), 1);
        assert_eq!(
            servers(&["https://a", "/path"]).err().as_deref(),
            Some("/path")
        );
        assert!(servers(&[]).is_err());
        assert!(servers(&["ftp://a"]).is_err());
    }
}
