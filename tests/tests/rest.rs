//! The apiserver's HTTP, request by request: what kubectl does not ask for, or hides.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "rest/certificates.rs"]
mod certificates;
#[path = "rest/front.rs"]
mod front;
#[path = "rest/lists.rs"]
mod lists;
#[path = "rest/passed_on.rs"]
mod passed_on;
#[path = "rest/roles.rs"]
mod roles;
#[path = "rest/services.rs"]
mod services;
#[path = "rest/uploads.rs"]
mod uploads;
#[path = "rest/watches.rs"]
mod watches;

use mainstay_tests::Cluster;
use mainstay_tests::apiserver::Apiserver;
use mainstay_tests::rest::Rest;

/// A server over a store of its own, and its administrator.
async fn start() -> (Cluster, Apiserver, Rest) {
    let cluster = Cluster::start(1).await;
    let server = Apiserver::start(&cluster, None).await;
    let rest = server.rest();
    (cluster, server, rest)
}
