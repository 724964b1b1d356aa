//! See `weir::fuzzing::pipeline_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir::fuzzing::pipeline_file(input));
