//! A control plane of plain processes.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use super::bring::{Up, wait};
use super::{api, tour};
use crate::cluster::{Cluster, Embedded, Means};
use crate::limits::API_PORT;
use crate::screen::say;
use crate::{doctor, machine, pki};

/// Fake nodes, if nobody says how many.
const NODES: usize = 5;
const MEANS: Means = Means {
    containers: false,
    proxy: false,
    dns: false,
};

pub(super) fn up(root: &Path, there: Option<Cluster>, flags: Up, begun: Instant) -> Result<()> {
    if let Some(missing) = doctor::missing_for_embedded().first() {
        bail!("{missing}");
    }
    let nodes = flags.workers.unwrap_or(NODES);
    let mut cluster = match there {
        Some(cluster) => cluster,
        None => {
            let (port, embedded) = Embedded::choose(flags.masters, nodes)?;
            if port != API_PORT {
                say("ports are not the usual ones: some of those are taken");
            }
            Cluster::embedded(root, port, embedded)
        }
    };
    if let Some(embedded) = &mut cluster.embedded {
        embedded.resize(flags.masters, nodes)?;
    }
    if machine::first(&cluster).is_none() {
        machine::sweep(&cluster)?;
        let embedded = cluster.embedded.as_ref();
        if let Some(port) = embedded.and_then(|embedded| embedded.taken(cluster.port)) {
            bail!(
                "port {port} of 127.0.0.1 is in use by another program: stop it and try again, \
                 or give this cluster up with 'mainstay down --delete' for one with other ports"
            );
        }
    }
    cluster.write()?;
    pki::ensure(&cluster)?;
    pki::equip_machine(&cluster)?;
    machine::on(&cluster)?;
    let embedded = cluster.embedded.iter();
    let names = embedded.flat_map(|one| one.members.iter().map(|member| member.name.as_str()));
    say(format!(
        "the store is started ({}), files in {}",
        names.collect::<Vec<_>>().join(", "),
        root.display()
    ));
    wait(async {
        let client = api::answers(&cluster).await?;
        api::furnish(&client, &cluster, MEANS).await?;
        if !cluster.furnished {
            cluster.furnished = true;
            machine::on(&cluster)?;
            cluster.write()?;
        }
        api::led(&client).await?;
        say(format!(
            "the control plane serves on https://127.0.0.1:{}",
            cluster.port
        ));
        api::forget_fakes(&client, &cluster).await?;
        api::ready(&client, &cluster).await
    })?;
    tour::show(&cluster, MEANS, begun.elapsed());
    Ok(())
}
