//! Whom to trust: found out from an apiserver that is not trusted yet.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::config::Kubeconfig;
use kube::{Api, Client, Config};
use tokio::time::{sleep, timeout};

use super::layout::{INFO, PUBLIC};
use super::signature::signs;
use crate::limits::{JOIN_ANSWER_PATIENCE, JOIN_PATIENCE, PROBE_PAUSE};
use crate::pki::{Pin, Token};

const CONTENT: &str = "kubeconfig";
const SIGNATURE: &str = "jws-kubeconfig-";

/// The authority of the cluster behind `server`, as PEM: signed by the token, with the key of the pin, and the one that
/// the server's own certificate is from.
pub(super) async fn authority(server: SocketAddrV4, token: &Token, pin: Pin) -> Result<String> {
    let begun = Instant::now();
    let url: http::Uri = format!("https://{server}").parse()?;
    let ca = loop {
        // Nothing secret is told before the answer has been proved.
        let mut config = Config::new(url.clone());
        config.accept_invalid_certs = true;
        let why = match info(config).await {
            Ok(data) => match proved(&data, token, pin)? {
                Some(ca) => break ca,
                None => format!(
                    "{server} has no signature for the token {}: the cluster does not have that token, or its time is over",
                    token.id
                ),
            },
            Err(error) => format!("{server} does not say what cluster it is: {error:#}"),
        };
        // A token that was just made has no signature yet.
        if begun.elapsed() > JOIN_PATIENCE {
            bail!(why);
        }
        sleep(PROBE_PAUSE).await;
    };
    let mut config = Config::new(url);
    let pem = x509_parser::pem::parse_x509_pem(ca.as_bytes());
    let (_, pem) = pem.ok().context("the authority's certificate")?;
    config.root_cert = Some(vec![pem.contents]);
    let again = info(config).await;
    let again = again.with_context(|| format!("{server} has no certificate of its cluster's"))?;
    if proved(&again, token, pin)?.as_ref() != Some(&ca) {
        bail!("{server} told two different stories about its cluster");
    }
    Ok(ca)
}

async fn info(config: Config) -> Result<BTreeMap<String, String>> {
    let maps: Api<ConfigMap> = Api::namespaced(Client::try_from(config)?, PUBLIC);
    let map = timeout(JOIN_ANSWER_PATIENCE, maps.get(INFO)).await;
    Ok(map.context("no answer in time")??.data.unwrap_or_default())
}

/// The authority, if what is said of it is signed and right; nothing if it is not signed with such a token.
fn proved(data: &BTreeMap<String, String>, token: &Token, pin: Pin) -> Result<Option<String>> {
    let Some(jws) = data.get(&format!("{SIGNATURE}{}", token.id)) else {
        return Ok(None);
    };
    let content = data.get(CONTENT).map(String::as_str).unwrap_or_default();
    if !signs(jws, content, token) {
        bail!(
            "the cluster is not signed with this token: its secret part is wrong, or somebody else answers in the \
             cluster's place"
        );
    }
    let config = Kubeconfig::from_yaml(content).context("what the cluster says of itself")?;
    let cluster = config.clusters.into_iter().next();
    let ca = cluster
        .and_then(|cluster| cluster.cluster?.certificate_authority_data)
        .context("the cluster does not name its authority")?;
    let ca = STANDARD.decode(ca).context("the cluster's authority")?;
    let ca = String::from_utf8(ca).context("the cluster's authority")?;
    let found = Pin::of(&ca)?;
    if found != pin {
        bail!(
            "the cluster's authority is {found}, not {pin}: \
             the hash is wrong, or this is another cluster"
        );
    }
    Ok(Some(ca))
}
