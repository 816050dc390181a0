//! x

pub mod broker;
