SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

.PHONY: bench crash-test crash-test-faults demo fault-test fuel fuzz hostile model properties real-servers-test soak swap-test test wasm-target

# A workspace of its own, with optimisation.
MODEL := cargo test --manifest-path tests/model/Cargo.toml --target-dir "$${CARGO_TARGET_DIR:-target}/model"

# Builds Weir and shows what it does; needs rustup and a C compiler.
demo: wasm-target
	cargo build --release -p weir
	./target/release/weir demo

# What Weir costs against a native program that does the same by hand, and how the cost grows: PERFORMANCE.md. BENCH=… for one
# part (whole, sandbox, filters, batch, workers, fields, length, allocations, start, latency); QUICK=1 for fewer
# lines and rounds, or LINES=…, ROUNDS=….
bench: wasm-target
	BENCH="$(BENCH)" QUICK="$(QUICK)" LINES="$(LINES)" ROUNDS="$(ROUNDS)" cargo bench -p weir --bench bench

# Every test, and every case of the filters through their components. Tests that need Java or Python say so if they are skipped.
# The binary is the one that the tests ran: `cargo run` would build all dependencies again, with other features.
test: wasm-target
	(cargo test --workspace --no-fail-fast && $(MODEL) && "$${CARGO_TARGET_DIR:-target}/debug/weir" test guest-filters) 2>&1 | awk -f tests/sum.awk

# The protocol of reading CloudWatch Logs, explored in full: minutes. `make test` explores smaller worlds.
model:
	WEIR_MODEL=full $(MODEL) -- --nocapture --test-threads 1

# What each filter of the main job costs in WebAssembly instructions an event, and what it did when tests/data/fuel.tsv was
# written; fails where one became over 5 % dearer. WEIR_FUEL=record writes the file anew.
fuel: wasm-target
	cargo test -p weir --test fuel -- --nocapture

# Tries N generated pairs of options and events with every filter, and says how many of what: tests/properties.rs. Other pairs
# each time, unless SEED says which. The host is optimised here: a million take a minute or two.
properties: wasm-target
	WEIR_PROPERTY_PAIRS="$(or $(N),1000000)" WEIR_PROPERTY_SEED="$(or $(SEED),$$(date +%s%N))" CARGO_PROFILE_DEV_OPT_LEVEL=2 \
		cargo test -p weir --test properties -- --nocapture

# Fuzzes the host for SECONDS a target, with cargo-fuzz and nightly: RELIABILITY.md says what is tried. TARGET=… for one only.
# `make test` runs the inputs that are kept.
fuzz:
	tests/fuzz/run.sh "$(or $(SECONDS),1800)" $(TARGET)

# Filters that break, lie, flood or are none, one after the other and with the limits that are the defaults: what each does, what
# stopped it, after how many milliseconds and at how much memory. `make test` tries them too, with shorter deadlines.
hostile: wasm-target
	WEIR_HOSTILE=table cargo test -p weir --test hostile

# Kills the binary N times and counts what was lost, doubled or altered: tests/crash/README.md.
crash-test: wasm-target
	WEIR_KILLS="$(or $(N),1000)" WEIR_SEED="$(SEED)" WEIR_FAULT="$(FAULT)" cargo test -p weir --test crash

# The kill test over Weirs with mistakes built in, each of which it must find. Four epochs: one alone may be a world in which a
# mistake has no chance.
crash-test-faults: wasm-target
	WEIR_KILLS=200 WEIR_FAULT=all cargo test -p weir --test crash

# Swaps filters N times under full load and counts what was lost, doubled or mixed, and how long batches waited; the other
# tests of swaps too. SEED=… for the same swaps again.
swap-test: wasm-target
	WEIR_SWAPS="$(or $(N),10000)" WEIR_SEED="$(SEED)" cargo test -p weir --test swap -- --nocapture --test-threads 1

# One process under faults for so long: its memory and open files must stay flat. RATE=500: no more events a second.
# FAULT=all: with leaks, which it must find.
soak: wasm-target
	WEIR_SOAK_RATE="$(RATE)" WEIR_SOAK_SECONDS="$(or $(SECONDS),600)" WEIR_SEED="$(SEED)" WEIR_FAULT="$(FAULT)" cargo test -p weir --test crash

# Every kind of fault with 20 seeds each (SEEDS=…, the first one SEED=…); RELIABILITY.md says what they are.
fault-test: wasm-target
	WEIR_FAULT_SEEDS=$(or $(SEEDS),20) WEIR_FAULT_SEED=$(or $(SEED),20200223) cargo test -p weir --test faults

# 200,000 events (EVENTS=…) into a real Elasticsearch that refuses, is blocked and is killed meanwhile; needs Java and Maven.
real-servers-test: wasm-target
	WEIR_REAL_EVENTS=$(or $(EVENTS),200000) WEIR_REQUIRE_SERVERS=1 cargo test -p weir --test real_server -- --nocapture

# What the guests are built for. rust-toolchain.toml names it too, but rustup may be told not to install by itself.
wasm-target:
	@rustup target list --installed | grep -qx wasm32-unknown-unknown || rustup target add wasm32-unknown-unknown
