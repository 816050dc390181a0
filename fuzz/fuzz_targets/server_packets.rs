//! Packets of external MQTT brokers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cse_mqtt::fuzzing::server_packets(bytes));
