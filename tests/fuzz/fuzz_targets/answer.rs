//! See `weir::fuzzing::answer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir::fuzzing::answer(input));
