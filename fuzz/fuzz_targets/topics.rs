//! Topic names, topic levels and identifiers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cse_mqtt::fuzzing::topics(bytes));
