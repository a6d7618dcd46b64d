#!/usr/bin/env bash
# Lint, types, layering and tests in an environment of their own:
#   scripts/test.sh [--peers] [PYTEST ARGUMENTS]
# --peers installs the other libraries that the tests compare with (the extra bench).
set -euo pipefail
peers=
if [ "${1:-}" = --peers ]; then
  peers=1
  shift
fi
. "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh" requirements-dev.lock

if [ -n "$peers" ]; then
  # The CPU build first: the newest of an index may bring gigabytes of CUDA.
  "$python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 \
    || stop "PyTorch could not be installed; see the lines above."
  "$python" -m pip install --quiet --disable-pip-version-check -e '.[bench]' \
    || stop "the peers could not be installed; see the lines above."
fi
"$python" -m ruff check .
"$python" -m ruff format --check .
"$python" -m basedpyright --pythonpath "$python"
exec "$python" -m pytest --numprocesses=2 --no-loadscope-reorder "$@"
