//! Each namespace has the CA by which its pods verify the apiserver.

mod controller;

pub use controller::root_ca;
