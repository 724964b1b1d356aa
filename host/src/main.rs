//! The `weir` command: reads the command line, runs one command and prints an error once.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
