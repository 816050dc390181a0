//! Packets of MQTT clients.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cse_mqtt::fuzzing::packets(bytes));
