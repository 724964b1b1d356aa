//! The `weir` command: reads the command line, runs one command and prints an error once.

fn main() {}
