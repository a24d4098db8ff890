//! Fuzzes the reader of TLS records. What the input means is in `brigade-node`, in `transport/fuzzing/records.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| brigade_node::internals_for_tests::records(input));
