//! Access control: who may do what (TS-0003 §7.1). The decision is a plain function of its arguments.

pub(crate) mod authorize;
mod context;
pub(crate) mod credential;
pub(crate) mod elsewhere;
mod originators;
pub(crate) mod policy;
