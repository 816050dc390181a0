//! The XML decoder.
#![no_main]

use cse_core::codec::Serialization;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cse_core::fuzzing::decoder(Serialization::Xml, bytes));
