//! Who may publish and subscribe to what.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cse_mqtt::fuzzing::rights(bytes));
