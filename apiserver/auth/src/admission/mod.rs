//! Admission checks that follow from who asks: what kubelets may write, and who may approve, sign and ask for
//! certificates.

mod certificate;
mod node;
mod node_certificate;
mod node_token;
mod request;

pub use certificate::{
    check_approval, check_attest, check_signing, check_subject, may_use_signer, parse_csr,
};
pub use node::NodeRestriction;
pub use request::{Admission, Operation, Refusal};
