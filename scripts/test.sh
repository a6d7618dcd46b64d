#!/usr/bin/env bash
# Lint, types, layering and tests in an environment of their own: scripts/test.sh [PYTEST ARGUMENTS]
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh" requirements-dev.lock

"$python" -m ruff check .
"$python" -m ruff format --check .
"$python" -m basedpyright --pythonpath "$python"
exec "$python" -m pytest --numprocesses=2 "$@"
