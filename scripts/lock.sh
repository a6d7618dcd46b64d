#!/usr/bin/env bash
# Writes the lock files anew from pyproject.toml, for every supported Python; needs uv.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

build=$(mktemp --suffix=.in)
trap 'rm -f "$build"' EXIT
echo "setuptools>=77" >"$build" # what pyproject.toml names to build the package
lock() {
  local file=$1
  shift
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-annotate --custom-compile-command scripts/lock.sh \
    "$@" pyproject.toml "$build" -o "$file"
}
lock requirements-dev.lock --extra dev --extra text --extra media --extra tables
lock requirements.lock --constraint requirements-dev.lock
lock requirements-docs.lock --extra docs --constraint requirements-dev.lock
for target in tpu cuda; do
  lock "requirements-aot-$target.lock" --extra "aot-$target" --constraint requirements-dev.lock
done
