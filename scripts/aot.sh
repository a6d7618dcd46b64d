#!/usr/bin/env bash
# Compiles for hardware that this machine does not have, in an environment of its own:
#   scripts/aot.sh tpu scripts/compile.py --platform=v5e-4 --model.pattern=dense
#   scripts/aot.sh cuda scripts/compile.py --platform=h100 --model.pattern=dense
#   scripts/aot.sh test [ARGUMENTS OF PYTEST]   the tests that compile, for both
# `scripts/aot.sh tpu` alone only makes the environment and prints its Python, `scripts/aot.sh
# ready tpu` tells by its exit code whether it is made. It lies in $AOT_DIR (by default
# ~/.cache/attn_research/aot), keyed by its lock file, and is made once.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
room=${AOT_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/attn_research/aot}

stop() {
  echo "Error: $1" >&2
  exit 1
}

place() { # of a target's environment; leaves it in $venv, its Python in $python
  lock=$here/requirements-aot-$1.lock base=${PYTHON:-python3}
  command -v "$base" >/dev/null || stop "$base is not installed; Python 3.11 or newer is needed (name it with PYTHON=)."
  venv=$room/$1-$({ cat "$lock" && "$base" -V; } | sha256sum | cut -c1-16)
  python=$venv/bin/python
}

environment() { # of a target, made if it is not there
  place "$1"
  mkdir -p "$room"
  exec 9>"$venv.lock"
  flock 9
  if [ ! -e "$venv/.complete" ]; then
    echo "Installing the packages of ${lock##*/} into $venv (once) ..." >&2
    rm -rf -- "$venv"
    "$base" -m venv "$venv" || stop "$base could not make the environment $venv."
    "$python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock" >&2 \
      || stop "the packages of $lock could not be installed; see the lines above."
    touch "$venv/.complete"
  fi
  exec 9>&-
}

run() { # a command of the target's Python, from the root of the checkout
  cd -- "$here"
  # Nothing is asked of a TPU or a GPU that this machine might have; several processes may
  # compile at once.
  ALLOW_MULTIPLE_LIBTPU_LOAD=1 TF_CPP_MIN_LOG_LEVEL=2 JAX_PLATFORMS=cpu TPU_SKIP_MDS_QUERY=1 TPU_WORKER_HOSTNAMES=localhost \
    TPU_ACCELERATOR_TYPE=v5litepod-4 PYTHONPATH=$here "$python" "$@"
}

case ${1:-} in
  tpu | cuda)
    environment "$1"
    shift
    if [ $# -eq 0 ]; then echo "$python"; else run "$@"; fi
    ;;
  ready)
    case ${2:-} in tpu | cuda) ;; *) stop "the target is '${2:-}'; it must be tpu or cuda." ;; esac
    place "$2"
    [ -e "$venv/.complete" ]
    ;;
  test)
    shift
    for target in tpu cuda; do environment "$target"; done
    exec "$here/scripts/test.sh" --here tests/ahead_test.py -m "slow or not slow" "$@"
    ;;
  *) stop "the target is '${1:-}'; it must be tpu, cuda, ready or test." ;;
esac
