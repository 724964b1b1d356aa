#!/bin/bash
# moto, a mock of AWS, on 127.0.0.1; any credentials, any region. Needs python3 with venv. Commands: see ../lifecycle.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here"
. ../lifecycle.sh

setup() {
  [ ! -e venv/.complete ] || return 0
  rm -rf venv
  python3 -m venv venv
  venv/bin/pip install -q --disable-pip-version-check -r requirements.txt
  touch venv/.complete
}

health() { echo "/moto-api/data.json"; }

launch() { exec venv/bin/python -m moto.server -H 127.0.0.1 -p "$1"; }

lifecycle "$@"
