//! What both modes have in common.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use mainstay_client::Key;

use crate::command::CommandError;
use crate::local::Local;
use crate::model::Plan;

/// What all services are programmed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Of packets to be masqueraded.
    pub mark: u32,
    pub masquerade_all: bool,
    pub local: Local,
    /// This node's address.
    pub node: Option<Ipv4Addr>,
    /// Where node ports are served; None for every address of the node.
    pub node_ports: Option<Vec<Ipv4Addr>>,
}

/// Rules in the kernel. After an error nothing is known of them until they have been written in full.
pub trait Rules: fmt::Debug + Send {
    /// Programs what changed; a service without plans is gone.
    ///
    /// # Errors
    /// Nothing was changed.
    fn update(&mut self, services: &[(Key, Vec<Plan>)]) -> Result<(), CommandError>;

    /// Programs everything, whatever is there.
    ///
    /// # Errors
    /// Nothing was changed that matters to packets.
    fn rewrite(&mut self, setting: &Setting, all: &[(Key, Vec<Plan>)]) -> Result<(), CommandError>;

    /// What somebody else changed, in words.
    ///
    /// # Errors
    /// It could not be found out.
    fn verify(&mut self) -> Result<Vec<String>, CommandError>;

    /// How long it is until there is something to be tidied up; None if there is nothing.
    fn tidy_after(&self) -> Option<Duration>;

    /// Takes away what nothing uses any more.
    ///
    /// # Errors
    /// It is still there.
    fn tidy(&mut self) -> Result<(), CommandError>;
}
