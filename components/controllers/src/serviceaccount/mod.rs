//! Each namespace has a service account `default`.

mod controller;

pub use controller::service_accounts;
