//! `controllers`: what kube-controller-manager is to Kubernetes.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use controllers::{Controller, Options, chosen, manage};
use mainstay_auth::authn::SigningKey;
use mainstay_client::process::{Component, Flags, Running, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Kubernetes' controllers.
#[derive(Debug, Parser)]
#[command(name = "controllers", version)]
struct Own {
    #[command(flatten)]
    flags: Flags,
    /// Which controllers run: `foo` does, `-foo` does not, `*` is all that are on by default.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "*",
        allow_hyphen_values = true
    )]
    controllers: Vec<String>,
    /// Whether each controller has the credentials of its own service account.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    use_service_account_credentials: bool,
    /// Certificates that pods are to trust, given to each namespace as `kube-root-ca.crt`.
    #[arg(long)]
    root_ca_file: Option<PathBuf>,
    /// Private key (PEM, RSA or ECDSA) that tokens in secrets of service accounts are signed with.
    #[arg(long)]
    service_account_private_key_file: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let own = Own::parse();
    let controllers = match chosen(&own.controllers) {
        Ok(controllers) => controllers,
        Err(why) => Own::refuse("--controllers", &why),
    };
    if let Err(why) = own.options.signing.check() {
        Own::refuse("--cluster-signing-*", &why);
    }
    let names: Vec<&str> = controllers
        .iter()
        .map(|one: &&Controller| one.name)
        .collect();
    if let Err(why) = own.options.check() {
        Own::refuse("--allocate-node-cidrs", &why);
    }
    let component = Component {
        name: "kube-controller-manager",
        port: 10257,
        config: serde_json::json!({"kubecontrollermanager.config.k8s.io": {
            "Generic": {
                "Controllers": names,
                "LeaderElection": {
                    "LeaderElect": own.flags.leader_elect,
                    "LeaseDuration": format!("{:?}", own.flags.leader_elect_lease_duration),
                    "RenewDeadline": format!("{:?}", own.flags.leader_elect_renew_deadline),
                    "RetryPeriod": format!("{:?}", own.flags.leader_elect_retry_period),
                },
            },
        }}),
    };
    let (mut options, own_credentials) = (own.options, own.use_service_account_credentials);
    if let Some(path) = &own.root_ca_file {
        match std::fs::read_to_string(path) {
            Ok(pem) => options.root_ca = Some(pem),
            Err(why) => Own::refuse("--root-ca-file", &why.to_string()),
        }
    }
    if let Some(path) = &own.service_account_private_key_file {
        let pem = std::fs::read(path).map_err(|why| why.to_string());
        match pem.and_then(|pem| SigningKey::from_pem(&pem).map_err(|why| why.to_string())) {
            Ok(key) => options.service_account_key = Some(Arc::new(key)),
            Err(why) => Own::refuse("--service-account-private-key-file", &why),
        }
    }
    run(component, &own.flags, move |running: Running| async move {
        if let Err(error) = manage(running, controllers, options, own_credentials).await {
            tracing::error!("{error}");
        }
    })
}

impl Own {
    fn refuse(flag: &str, why: &str) -> ! {
        use clap::CommandFactory as _;
        let mut command = Self::command();
        command
            .error(
                clap::error::ErrorKind::InvalidValue,
                format!("{flag}: {why}"),
            )
            .exit()
    }
}
