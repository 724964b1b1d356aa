//! See `weir::fuzzing::component`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir::fuzzing::component(input));
