//! Certificate signing requests: kubelets' are approved, what is approved is signed, and what is old goes.

mod approve;
mod authority;
mod clean;
mod conditions;
mod options;
mod request;
mod rules;
mod sign;
mod usages;

pub use approve::approve_certificates;
pub use clean::clean_certificates;
pub use options::SigningOptions;
pub use sign::sign_certificates;
