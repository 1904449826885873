//! A component that does nothing but be elected and then write, as often as it can, to a ConfigMap of its own. No
//! write says what it was decided from: only the fence keeps them from coming late.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use mainstay_client::leader::Fence;
use mainstay_client::process::{Component, Flags, Running, run};
use serde_json::json;

#[derive(Debug, Parser)]
struct Own {
    #[command(flatten)]
    flags: Flags,
    /// Of the ConfigMap, in the namespace `default`.
    #[arg(long)]
    writes_to: String,
}

fn main() -> ExitCode {
    let own = Own::parse();
    let component = Component {
        name: "candidate",
        port: 0,
        config: json!({}),
    };
    let name = own.writes_to;
    run(component, &own.flags, |running: Running| async move {
        tokio::select! {
            () = write(&running, &name) => {}
            () = running.stop.announced() => {}
        }
    })
}

async fn write(running: &Running, name: &str) {
    let client = running.access.fenced().expect("the kubeconfig was used");
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    let made = maps.create(&PostParams::default(), &map).await;
    tracing::info!(made = made.is_ok(), "writing");
    for number in 0_u64.. {
        let patch = json!({"data": {"number": number.to_string()}});
        let params = PatchParams::default();
        match maps.patch(name, &params, &Patch::Merge(&patch)).await {
            Ok(_) => {}
            Err(error) if Fence::refused(&error) => tracing::info!("refused: {error}"),
            Err(error) => tracing::info!("failed: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
