//! See `weir::fuzzing::case_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir::fuzzing::case_file(input));
