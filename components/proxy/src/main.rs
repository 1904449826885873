//! `proxy`: what kube-proxy is to Kubernetes.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use mainstay_client::process::{Component, Running, run};
use proxy::Own;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let own = Own::parse();
    let options = own.options().unwrap_or_else(|why| {
        Own::command()
            .error(clap::error::ErrorKind::InvalidValue, why)
            .exit()
    });
    if own.cleanup {
        return match proxy::cleanup() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => Own::command()
                .error(clap::error::ErrorKind::Io, error)
                .exit(),
        };
    }
    let component = Component {
        name: "kube-proxy",
        // Pages are in plain HTTP, at addresses of their own.
        port: 0,
        config: serde_json::Value::Null,
    };
    run(
        component,
        &own.process(),
        move |running: Running| async move {
            if let Err(error) = proxy::proxy(options, running).await {
                tracing::error!("{error}");
            }
        },
    )
}
