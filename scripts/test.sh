#!/usr/bin/env bash
# Lint, types, layering and tests in an environment of their own:
#   scripts/test.sh [--peers] [--here] [PYTEST ARGUMENTS]
# The tests run against the installed wheel, from a copy beside it; with --here against
# the checkout, which is quicker while you work. --peers installs the other libraries
# that the tests compare with (the extra bench). Lint and types are checked if no
# arguments for pytest are given.
set -euo pipefail
peers= here=
while :; do
  case ${1:-} in
    --peers) peers=1 ;;
    --here) here=1 ;;
    *) break ;;
  esac
  shift
done
. "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh" requirements-dev.lock

if [ -n "$peers" ]; then
  # The CPU build first: the newest of an index may bring gigabytes of CUDA.
  "$python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 \
    || stop "PyTorch could not be installed; see the lines above."
  "$python" -m pip install --quiet --disable-pip-version-check -e '.[bench]' \
    || stop "the peers could not be installed; see the lines above."
fi
if [ $# -eq 0 ]; then
  # What git does not know is the user's own: a new experiment, a scratch file.
  ours=() typed=()
  while IFS= read -r file; do
    ours+=("$file")
    case $file in attn_research/*.py | scripts/*.py | experiments/*.py) typed+=("$file") ;; esac
  done < <(git ls-files --cached '*.py' '*.ipynb' 2>/dev/null)
  "$python" -m ruff check "${ours[@]:-.}"
  "$python" -m ruff format --check "${ours[@]:-.}"
  "$python" -m basedpyright --pythonpath "$python" "${typed[@]}"
fi
installed=$python
[ -n "$here" ] || . scripts/installed.sh
exec "$installed" -m pytest --numprocesses=2 --no-loadscope-reorder "$@"
