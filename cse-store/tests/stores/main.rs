//! Tests of the stores: what the port promises, the database against the model, and opening the file.

mod model;
mod opening;
mod story;
mod support;
