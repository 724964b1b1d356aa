//! See `weir::fuzzing::language`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir::fuzzing::language(input));
