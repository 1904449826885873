//! What kubectl tells of a cluster.

use mainstay_component_tests::stack::Stack;
use mainstay_component_tests::stack::limits::DONE;
use mainstay_tests::wait_until;

pub(crate) async fn kubectl_tells_of_the_cluster(stack: &Stack) {
    let nodes = stack.kubectl(&["get", "nodes", "--output=wide"]).await;
    for (worker, address) in stack.workers() {
        let line = nodes.lines().find(|line| line.starts_with(&worker));
        let line = line.unwrap_or_else(|| panic!("{worker}: {nodes}"));
        for part in [" Ready ", &address, "containerd://"] {
            assert!(line.contains(part), "{part}: {line}");
        }
        let told = stack.kubectl(&["describe", "node", &worker]).await;
        for part in [
            "KubeletReady",
            "Container Runtime Version:",
            "PodCIDR:",
            "Allocated resources:",
            "MemoryPressure",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    wait_until("DNS runs", DONE, async || {
        let words = ["--namespace=kube-system", "get", "deployment", "dns"];
        let said = stack.kubectl_tries(&words).await;
        said.text.contains("2/2").then_some(())
    })
    .await;
    let parts = stack.kubectl(&["get", "componentstatuses"]).await;
    for part in ["scheduler", "controller-manager", "etcd-0"] {
        let line = parts.lines().find(|line| line.starts_with(part));
        assert!(line.is_some_and(|line| line.contains("Healthy")), "{parts}");
    }
    let info = stack.kubectl(&["cluster-info"]).await;
    assert!(info.contains("is running at"), "{info}");
    let can = stack
        .kubectl_tries(&["auth", "can-i", "delete", "nodes", "--as=bob"])
        .await;
    assert!(can.text.contains("no"), "{}", can.text);
}
