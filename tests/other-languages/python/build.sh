#!/bin/bash
# Makes a component of shorten.py: build.sh FILE. First `build.sh setup`, which fetches componentize-py; needs python3 with venv.
set -euo pipefail
cd "$(dirname "$0")"

if [ "${1:-}" = setup ]; then
  [ ! -e venv/.complete ] || exit 0
  rm -rf venv
  python3 -m venv venv
  venv/bin/pip install -q --disable-pip-version-check -r requirements.txt
  touch venv/.complete
  exit
fi

# Without the stubs it would import all of WASI, and no filter may have that.
venv/bin/componentize-py -d ../../../wit -w basic componentize --stub-wasi shorten -o "${1:?the file to write}"
