//! Fuzzes the reader of frames. What the input means is in `brigade-node`, in `transport/fuzzing/frames.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| brigade_node::internals_for_tests::frames(input));
