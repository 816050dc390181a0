//! The binding over both kinds of broker.

mod embedded;
mod external;
mod faults;
mod support;
