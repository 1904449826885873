//! Which pods a service reaches: endpoint slices, and the older endpoints.

mod controller;
mod desired;
mod legacy;
mod ports;
mod services;
mod slices;
mod subsets;

pub use controller::endpoint_slices;
pub use legacy::endpoints;
