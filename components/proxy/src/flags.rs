//! Flags, under upstream's names.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, ValueEnum};
use http::Uri;
use ipnet::IpNet;
use mainstay_client::process::{Flags, duration};

use crate::engine::{DetectLocal, Pace, Wish};
use crate::local::{Local, NodePorts};
use crate::run::{Mode, Options};
use crate::sysctl::Tracking;

/// Sends packets for services to those who answer for them, by rules of the kernel.
///
/// The rules stay when this program ends; --cleanup takes them away. IPv4 only.
#[derive(Debug, Parser)]
#[command(name = "proxy", version)]
pub struct Own {
    /// Kubeconfig with the address of the apiserver and this component's credentials. Default: those of a pod.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Addresses of apiservers, in place of the kubeconfig's; when one does not answer the next one is asked.
    #[arg(long, value_delimiter = ',')]
    master: Vec<Uri>,
    /// Name of the node this runs on. Default: the machine's name.
    #[arg(long)]
    hostname_override: Option<String>,
    /// Which rules are written.
    #[arg(long, value_enum, default_value = "nftables")]
    proxy_mode: ModeFlag,
    /// Take away all rules of both modes, and end.
    #[arg(long)]
    pub cleanup: bool,

    /// How traffic of pods is told from other traffic.
    #[arg(long, value_name = "MODE", default_value = "ClusterCIDR", value_parser = ["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"])]
    detect_local_mode: String,
    /// Where all pods have their addresses; for mode ClusterCIDR. Without it, traffic from outside is not masqueraded.
    #[arg(long, value_name = "RANGE", value_delimiter = ',')]
    cluster_cidr: Vec<IpNet>,
    /// For mode BridgeInterface.
    #[arg(long, value_name = "NAME")]
    pod_bridge_interface: Option<String>,
    /// For mode InterfaceNamePrefix.
    #[arg(long, value_name = "PREFIX")]
    pod_interface_name_prefix: Option<String>,
    /// Give all that goes to services this node's address.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, default_value_t = false, default_missing_value = "true")]
    masquerade_all: bool,
    /// Bit of packets' marks by which those to be masqueraded are known.
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u8).range(0..=31))]
    iptables_masquerade_bit: u8,
    /// Ranges of this node's addresses at which node ports are served, or "primary". Default: all addresses but those
    /// of loopback.
    #[arg(long, value_name = "RANGES", value_delimiter = ',')]
    nodeport_addresses: Vec<String>,

    /// Address of the page for health.
    #[arg(long, default_value = "0.0.0.0:10256")]
    healthz_bind_address: SocketAddr,
    /// Address of the page for metrics; empty for none.
    #[arg(long, default_value = "127.0.0.1:10249")]
    metrics_bind_address: String,

    /// How often it is looked whether somebody else changed the rules.
    #[arg(long, visible_alias = "nftables-sync-period", value_parser = duration, default_value = "30s")]
    iptables_sync_period: Duration,
    /// Least time between two writes of rules. The first change after a pause is written at once.
    #[arg(long, visible_alias = "nftables-min-sync-period", value_parser = duration, default_value = "1s")]
    iptables_min_sync_period: Duration,

    /// Connections that are tracked, for each core; 0 leaves the kernel's setting.
    #[arg(long, default_value_t = 32_768)]
    conntrack_max_per_core: u32,
    /// The least number of connections that are tracked.
    #[arg(long, default_value_t = 131_072)]
    conntrack_min: u32,
    /// Time after which an idle TCP connection is forgotten; 0 leaves the kernel's setting.
    #[arg(long, value_parser = duration, default_value = "24h")]
    conntrack_tcp_timeout_established: Duration,
    /// The same for those that one side has closed.
    #[arg(long, value_parser = duration, default_value = "1h")]
    conntrack_tcp_timeout_close_wait: Duration,
    /// The same for UDP without an answer.
    #[arg(long, value_parser = duration, default_value = "0")]
    conntrack_udp_timeout: Duration,
    /// The same for UDP with answers.
    #[arg(long, value_parser = duration, default_value = "0")]
    conntrack_udp_timeout_stream: Duration,
    /// Let TCP packets outside of the window through.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, default_value_t = false, default_missing_value = "true")]
    conntrack_tcp_be_liberal: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeFlag {
    Nftables,
    Iptables,
}

impl Own {
    /// What all components' start is given: it opens no pages of its own and is not elected.
    #[must_use]
    pub fn process(&self) -> Flags {
        Flags::unelected(self.kubeconfig.clone(), self.master.clone())
    }

    /// # Errors
    /// Says which flag is wrong.
    pub fn options(&self) -> Result<Options, String> {
        let metrics = match self.metrics_bind_address.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                format!("--metrics-bind-address: {text:?} is no address with a port")
            })?),
        };
        if self.iptables_sync_period.is_zero() {
            return Err("--iptables-sync-period: must be more than 0".to_owned());
        }
        let node_ports = NodePorts::read(&self.nodeport_addresses);
        Ok(Options {
            node_name: self.node_name()?,
            mode: match self.proxy_mode {
                ModeFlag::Nftables => Mode::Nftables,
                ModeFlag::Iptables => Mode::Iptables,
            },
            wish: Wish {
                mark: 1 << self.iptables_masquerade_bit,
                masquerade_all: self.masquerade_all,
                local: self.local()?,
                node_ports: node_ports.map_err(|why| format!("--nodeport-addresses: {why}"))?,
            },
            pace: Pace {
                min: self.iptables_min_sync_period,
                verify: self.iptables_sync_period,
            },
            healthz: self.healthz_bind_address,
            metrics,
            tracking: Tracking {
                max_per_core: self.conntrack_max_per_core,
                min: self.conntrack_min,
                tcp_established: self.conntrack_tcp_timeout_established,
                tcp_close_wait: self.conntrack_tcp_timeout_close_wait,
                udp: self.conntrack_udp_timeout,
                udp_stream: self.conntrack_udp_timeout_stream,
                be_liberal: self.conntrack_tcp_be_liberal,
            },
        })
    }

    fn node_name(&self) -> Result<String, String> {
        let name = match &self.hostname_override {
            Some(name) => name.clone(),
            None => std::fs::read_to_string("/proc/sys/kernel/hostname")
                .map_err(|error| format!("the machine's name: {error}"))?,
        };
        match name.trim().to_lowercase() {
            name if name.is_empty() => Err("--hostname-override: the name is empty".to_owned()),
            name => Ok(name),
        }
    }

    fn local(&self) -> Result<DetectLocal, String> {
        let named = |flag: &str, name: &Option<String>| {
            name.clone()
                .ok_or_else(|| format!("--detect-local-mode: this one needs --{flag}"))
        };
        let local = match self.detect_local_mode.as_str() {
            "NodeCIDR" => return Ok(DetectLocal::NodeRange),
            "BridgeInterface" => {
                Local::Bridge(named("pod-bridge-interface", &self.pod_bridge_interface)?)
            }
            "InterfaceNamePrefix" => Local::Prefix(named(
                "pod-interface-name-prefix",
                &self.pod_interface_name_prefix,
            )?),
            _ => {
                let ranges = self.cluster_cidr.iter();
                let mut ranges = ranges.filter_map(|range| match range {
                    IpNet::V4(range) => Some(range.trunc()),
                    IpNet::V6(_) => None,
                });
                ranges.next().map_or(Local::Unknown, Local::Range)
            }
        };
        Ok(DetectLocal::Fixed(local))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(flags: &[&str]) -> Result<Options, String> {
        let all = ["proxy", "--hostname-override=N1"].iter().chain(flags);
        let own = Own::try_parse_from(all).map_err(|error| error.to_string())?;
        own.options()
    }

    #[test]
    fn flags_are_upstreams() {
        let told = options(&[]).expect("defaults do");
        assert_eq!(told.node_name, "n1");
        assert_eq!(told.mode, Mode::Nftables);
        assert_eq!(told.wish.mark, 0x4000);
        assert_eq!(told.wish.local, DetectLocal::Fixed(Local::Unknown));
        assert_eq!(told.healthz.port(), 10256);
        assert_eq!(told.metrics.map(|address| address.port()), Some(10249));
        let told = options(&[
            "--proxy-mode=iptables",
            "--cluster-cidr=fd00::/48,10.244.0.0/16",
            "--nodeport-addresses=10.0.0.0/8",
            "--metrics-bind-address=",
            "--nftables-min-sync-period=0",
            "--iptables-sync-period=5s",
            "--masquerade-all",
        ]);
        let told = told.expect("they are flags");
        assert_eq!(told.mode, Mode::Iptables);
        let range = "10.244.0.0/16".parse().expect("a range");
        assert_eq!(told.wish.local, DetectLocal::Fixed(Local::Range(range)));
        assert!(told.wish.masquerade_all && told.metrics.is_none());
        assert_eq!(told.pace.min, Duration::ZERO);
        let told = options(&["--detect-local-mode=NodeCIDR"]).expect("a mode");
        assert_eq!(told.wish.local, DetectLocal::NodeRange);
    }

    #[test]
    fn what_cannot_be_is_said() {
        for (flag, told) in [
            ("--proxy-mode=ipvs", "ipvs"),
            (
                "--detect-local-mode=BridgeInterface",
                "--pod-bridge-interface",
            ),
            ("--nodeport-addresses=here", "--nodeport-addresses"),
            ("--metrics-bind-address=10249", "--metrics-bind-address"),
            ("--iptables-sync-period=0", "--iptables-sync-period"),
        ] {
            let why = options(&[flag]).expect_err(flag);
            assert!(why.contains(told), "{flag}: {why}");
        }
    }
}
