//! Controllers with no more rights than they have in a cluster.

use controllers::Context;
use http::{HeaderValue, Request};
use kube::Client;
use kube::client::Body;
use mainstay_client::Events;
use tower::service_fn;

/// The same client, but it asks as somebody else.
#[must_use]
pub fn client_as(client: &Client, user: &str, groups: &[&str]) -> Client {
    let value = |text: &str| HeaderValue::from_str(text).unwrap();
    let (user, inner) = (value(user), client.clone());
    let groups: Vec<HeaderValue> = groups.iter().copied().map(value).collect();
    let service = service_fn(move |mut request: Request<Body>| {
        let headers = request.headers_mut();
        headers.insert("impersonate-user", user.clone());
        for group in &groups {
            headers.append("impersonate-group", group.clone());
        }
        let inner = inner.clone();
        async move { inner.send(request).await }
    });
    Client::new(service, client.default_namespace().to_owned())
}

/// The same context, but what the controller itself asks and writes is asked and written as this service account of
/// `kube-system`. Its caches are filled as before, as all controllers of a process share them.
#[must_use]
pub fn with_rights_of(account: &str, cx: Context) -> Context {
    let user = format!("system:serviceaccount:kube-system:{account}");
    let groups = [
        "system:serviceaccounts",
        "system:serviceaccounts:kube-system",
        "system:authenticated",
    ];
    let client = client_as(&cx.client, &user, &groups);
    Context {
        events: Events::start(client.clone(), account),
        client,
        ..cx
    }
}
