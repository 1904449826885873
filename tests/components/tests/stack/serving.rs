//! A web server behind a service.

use std::collections::BTreeSet;

use jiff::Timestamp;
use mainstay_component_tests::stack::limits::DONE;
use mainstay_component_tests::stack::{Caller, Inside, Stack, Web, ask};
use mainstay_tests::wait_until;

const NAME: &str = "web.serving.svc.cluster.local";
/// Of the service of DNS.
const DNS: &str = "10.96.0.10";

pub(crate) async fn services_answer_and_roll(stack: &Stack) {
    let scene = stack.scene("serving").await;
    let web = Web::deploy(stack, &scene, 3).await;
    every_way_leads_to_every_replica(stack, &web).await;

    // By its short name from one node, by its address from the other.
    let by_address = format!("http://{}/", web.cluster_address);
    let mut inside = Vec::new();
    for (node, url) in stack
        .workers()
        .into_keys()
        .zip(["http://web/", &by_address])
    {
        let name = format!("asks-from-{node}");
        inside.push(Inside::start(stack, &scene, &node, &name, url).await);
    }
    names_are_known(stack, &web, &inside[0]).await;
    a_new_version_comes_without_a_failed_request(stack, &web, &inside).await;
}

async fn every_way_leads_to_every_replica(stack: &Stack, web: &Web) {
    for (worker, address) in stack.workers() {
        let mut names = BTreeSet::new();
        wait_until(
            &format!("node port of {worker}: all replicas"),
            DONE,
            async || {
                names.insert(ask(web.address(&address)).await.answer.ok()?);
                (names.len() == 3).then_some(())
            },
        )
        .await;
        assert!(
            names.iter().all(|name| name.starts_with("web-")),
            "{names:?}"
        );
        let url = format!("http://{}/", web.cluster_address);
        let words = ["busybox", "wget", "-q", "-O", "-", &url];
        let said = stack.on_host(&worker, &words).await;
        assert!(
            said.ok && said.text.starts_with("web-"),
            "{worker}: {}",
            said.text
        );
    }
}

async fn names_are_known(stack: &Stack, web: &Web, inside: &Inside) {
    let in_pod = stack
        .in_pod(&web.scene, &inside.name, &["nslookup", NAME])
        .await;
    assert!(
        in_pod.text.contains(&web.cluster_address),
        "{}",
        in_pod.text
    );
    for worker in stack.workers().into_keys() {
        let words = ["busybox", "nslookup", NAME, DNS];
        let said = stack.on_host(&worker, &words).await;
        assert!(
            said.text.contains(&web.cluster_address),
            "{worker}: {}",
            said.text
        );
    }
}

async fn a_new_version_comes_without_a_failed_request(stack: &Stack, web: &Web, inside: &[Inside]) {
    let caller = Caller::start(web.addresses());
    caller.goes_on().await;
    let (begun, stamp) = (std::time::Instant::now(), Timestamp::now());
    let namespace = format!("--namespace={}", web.scene.namespace);
    let update = [&namespace, "set", "env", "deployment/web", "VERSION=v2"];
    stack.kubectl(&update).await;
    let status = [
        &namespace,
        "rollout",
        "status",
        "deployment/web",
        "--timeout=55s",
    ];
    wait_until("it is rolled out", DONE, async || {
        stack.kubectl_tries(&status).await.ok.then_some(())
    })
    .await;
    web.until_ready().await;
    caller.goes_on().await;
    for one in inside {
        one.goes_on().await;
        let failures = one.failures(stamp);
        assert!(
            failures.is_empty(),
            "from a pod on {}: {failures:?}",
            one.node
        );
    }
    let failures = caller.failures(begun);
    assert!(failures.is_empty(), "from outside: {failures:?}");
    let asked = caller.asked();
    let last = asked.last().unwrap().answer.as_ref().unwrap();
    assert!(last.ends_with(" v2"), "{last}");
}
