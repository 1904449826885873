//! `mainstay token`: with which other machines join. They are secrets in the API, as kubeadm makes them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use mainstay_client::process::duration;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cluster::Cluster;
use crate::files;
use crate::pki::{Pin, Token, is_token_id};
use crate::screen::{say, table};
use crate::up::{JOINERS, NAMESPACE, client, wait};

const TYPE: &str = "bootstrap.kubernetes.io/token";
const PREFIX: &str = "bootstrap-token-";

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token.
    Create {
        /// How long it is good; 0 for ever.
        #[arg(long, value_name = "TIME", value_parser = duration, default_value = "24h")]
        ttl: Duration,
        /// Show what another machine is to call, rather than the token alone.
        #[arg(long)]
        print_join_command: bool,
    },
    /// Show all tokens.
    List,
    /// Delete tokens. Nodes that have joined stay.
    Delete {
        /// Whole tokens, or their first parts.
        #[arg(value_name = "TOKEN", required = true)]
        tokens: Vec<String>,
    },
}

pub(crate) fn tokens(root: &Path, verb: &TokenVerb) -> Result<()> {
    let cluster = Cluster::there(root)?;
    if cluster.embedded.is_some() {
        bail!("a control plane without hosts has no nodes that could join");
    }
    wait(async {
        let client = client(&cluster).await?;
        match verb {
            TokenVerb::Create {
                ttl,
                print_join_command,
            } => create(&cluster, client, *ttl, *print_join_command).await,
            TokenVerb::List => list(client).await,
            TokenVerb::Delete { tokens } => delete(client, tokens).await,
        }
    })
}

async fn create(cluster: &Cluster, client: Client, ttl: Duration, command: bool) -> Result<()> {
    let shown = match command {
        true => Some(join_command(cluster)?),
        false => None,
    };
    let token = Token::random()?;
    let secret = secret(&token, ttl, OffsetDateTime::now_utc())?;
    let made = secrets(client)
        .create(&PostParams::default(), &secret)
        .await;
    made.context("the token")?;
    say(match shown {
        Some(shown) => shown.replace(TOKEN, &token.text()),
        None => token.text(),
    });
    Ok(())
}

/// Where the token is to stand.
const TOKEN: &str = "TOKEN";

fn join_command(cluster: &Cluster) -> Result<String> {
    let address = cluster.advertise.context(
        "no other machine reaches this cluster yet: call 'mainstay up --advertise ADDRESS' with an address of this \
         machine, and with the numbers of hosts that the cluster has",
    )?;
    let ca = files::read(&cluster.folders().pki().join("ca.crt"))?;
    Ok(format!(
        "mainstay join {address}:{} --token {TOKEN} --discovery-token-ca-cert-hash {}",
        cluster.port,
        Pin::of(&ca)?
    ))
}

fn secrets(client: Client) -> Api<Secret> {
    Api::namespaced(client, NAMESPACE)
}

/// As the API keeps it.
fn secret(token: &Token, ttl: Duration, now: OffsetDateTime) -> Result<Secret> {
    let mut data = json!({
        "token-id": token.id, "token-secret": token.secret, "auth-extra-groups": JOINERS,
        "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true",
    });
    if !ttl.is_zero() {
        let ends = now
            .checked_add(ttl.try_into().context("--ttl")?)
            .context("--ttl is too long")?;
        // Without fractions of seconds, as everybody writes it.
        data["expiration"] = ends.replace_nanosecond(0)?.format(&Rfc3339)?.into();
    }
    Ok(serde_json::from_value(json!({
        "type": TYPE, "stringData": data,
        "metadata": {"name": format!("{PREFIX}{}", token.id), "namespace": NAMESPACE},
    }))?)
}

async fn list(client: Client) -> Result<()> {
    let of_type = ListParams::default().fields(&format!("type={TYPE}"));
    let mut rows = vec![
        ["TOKEN", "EXPIRES", "USAGES", "DESCRIPTION"]
            .map(String::from)
            .to_vec(),
    ];
    for secret in secrets(client).list(&of_type).await? {
        rows.push(row(&secret));
    }
    say(table(&rows).trim_end());
    Ok(())
}

fn row(secret: &Secret) -> Vec<String> {
    let field = |name: &str| -> Option<String> {
        let value = secret.data.as_ref()?.get(name)?;
        let text = String::from_utf8(value.0.clone()).ok()?;
        (!text.is_empty()).then_some(text)
    };
    let usages = ["authentication", "signing"];
    let usages = usages.into_iter().filter(|usage| {
        field(&format!("usage-bootstrap-{usage}")).is_some_and(|text| text == "true")
    });
    let none = || "<none>".to_owned();
    let part = |name: &str| field(name).unwrap_or_default();
    vec![
        format!("{}.{}", part("token-id"), part("token-secret")),
        field("expiration").unwrap_or_else(|| "<never>".to_owned()),
        usages.collect::<Vec<_>>().join(","),
        field("description").unwrap_or_else(none),
    ]
}

async fn delete(client: Client, tokens: &[String]) -> Result<()> {
    let secrets = secrets(client);
    for text in tokens {
        let token = Token::parse(text);
        let id = token.map_or_else(|| text.clone(), |token| token.id);
        if !is_token_id(&id) {
            // What is shown may be half a secret.
            bail!("a token is named by ID.SECRET or by its ID of six letters and digits");
        }
        match secrets
            .delete(&format!("{PREFIX}{id}"), &DeleteParams::default())
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 404 => bail!("there is no token {id}"),
            other => other.map(|_| ()).with_context(|| format!("token {id}"))?,
        }
        say(format!("token {id} is deleted"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_sign_and_end_when_they_are_told_to() {
        let token = Token::parse("abcdef.0123456789abcdef").expect("a token");
        let made = |ttl| secret(&token, ttl, OffsetDateTime::UNIX_EPOCH).expect("a secret");
        let an_hour = made(Duration::from_secs(3_600));
        assert_eq!(an_hour.type_.as_deref(), Some(TYPE));
        let data = an_hour.string_data.expect("data");
        assert_eq!(data["expiration"], "1970-01-01T01:00:00Z");
        assert_eq!(data["usage-bootstrap-signing"], "true");
        let ever = made(Duration::ZERO).string_data.expect("data");
        assert!(!ever.contains_key("expiration"));
        assert!(secret(&token, Duration::MAX, OffsetDateTime::UNIX_EPOCH).is_err());
    }
}
