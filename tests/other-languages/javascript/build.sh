#!/bin/bash
# Makes a component of shorten.js: build.sh FILE. First `build.sh setup`, which fetches componentize-js; needs Node.js with npm.
set -euo pipefail
cd "$(dirname "$0")"

if [ "${1:-}" = setup ]; then
  [ ! -e node_modules/.complete ] || exit 0
  rm -rf node_modules
  npm ci --silent --no-audit --no-fund
  touch node_modules/.complete
  exit
fi

node build.mjs shorten.js ../../../wit "${1:?the file to write}"
