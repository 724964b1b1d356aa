#!/bin/bash
# Fuzzes for so many seconds a target: tests/fuzz/run.sh SECONDS [TARGET…]. Begins with the committed corpus and, for what
# is written by users, with the repository's own files; new inputs go to the target folder. An input that breaks something
# is kept in tests/fuzz/artifacts/TARGET, and `cargo +nightly fuzz run TARGET FILE` runs it again.
#
# SANITIZER=address looks for errors of memory as well, in a build that is twice as slow; the host has next to no unsafe code.
set -euo pipefail
cd "$(dirname "$0")"
seconds=$1
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(answer component pipeline_file case_file language)

command -v cargo-fuzz > /dev/null || cargo +nightly install --locked cargo-fuzz
rustup +nightly target add wasm32-unknown-unknown > /dev/null 2>&1
folder=${CARGO_TARGET_DIR:-target}/fuzz
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
fuzz=(--sanitizer "${SANITIZER:-none}" --fuzz-dir . --target-dir "$folder")
cargo +nightly fuzz build "${fuzz[@]}"

for target in "${targets[@]}"; do
  inputs=$folder/corpus/$target
  mkdir -p "$inputs" "artifacts/$target"
  options=(-max_total_time="$seconds" -rss_limit_mb=2048 -timeout=25 -print_final_stats=1)
  dictionary=$folder/$target.dict
  case $target in
    pipeline_file) files=(../../config/*.toml ../config/*/*.toml) ;;
    case_file) files=(../../guest-filters/*/cases/*.toml) ;;
    *) files=() ;;
  esac
  if [ ${#files[@]} -gt 0 ]; then
    for file in "${files[@]}"; do cp "$file" "$inputs/$(sha1sum < "$file" | cut -c1-40)"; done
    # Their words are the dictionary: no key can be missing there.
    cat "${files[@]}" | LC_ALL=C grep -aoE '[a-z_.]{3,}|"[^"\\]{1,20}"|\[\[?[a-z.]+\]\]?' | LC_ALL=C sort -u \
      | LC_ALL=C sed 's/"//g; s/.*/"&"/' | LC_ALL=C grep -avE '^""$|[^ -~]' > "$dictionary"
    options+=(-dict="$dictionary")
  elif [ -e "$target.dict" ]; then
    options+=(-dict="$target.dict")
  fi
  # A compiler run twice as often as needed finds half as much.
  if [ "$target" = component ]; then options+=(-max_len=16384); else options+=(-max_len=4096); fi
  cargo +nightly fuzz run "${fuzz[@]}" "$target" "$inputs" "corpus/$target" -- "${options[@]}"
done
