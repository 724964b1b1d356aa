SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

.PHONY: demo test fuel wasm-target

# Builds Weir and shows what it does; needs rustup and a C compiler.
demo: wasm-target
	cargo build --release -p weir
	./target/release/weir demo

# Every test, and every case of the filters through their components. Tests that need Java or Python say so if they are skipped.
# The binary is the one that the tests ran: `cargo run` would build all dependencies again, with other features.
test: wasm-target
	(cargo test --workspace --no-fail-fast && "$${CARGO_TARGET_DIR:-target}/debug/weir" test guest-filters) 2>&1 | awk -f tests/sum.awk

# What each filter of the main job costs in WebAssembly instructions an event, and what it did when tests/data/fuel.tsv was
# written; fails where one became over 5 % dearer. WEIR_FUEL=record writes the file anew.
fuel: wasm-target
	cargo test -p weir --test fuel -- --nocapture

# What the guests are built for. rust-toolchain.toml names it too, but rustup may be told not to install by itself.
wasm-target:
	@rustup target list --installed | grep -qx wasm32-unknown-unknown || rustup target add wasm32-unknown-unknown
