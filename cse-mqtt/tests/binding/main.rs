//! The binding over both kinds of broker.

mod durable;
mod embedded;
mod external;
mod faults;
mod floods;
mod support;
