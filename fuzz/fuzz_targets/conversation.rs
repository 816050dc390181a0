//! The embedded broker, as its clients and a link talk to it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cse_mqtt::fuzzing::conversation(bytes));
