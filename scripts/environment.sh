# Makes an environment from a lock file: `. scripts/environment.sh LOCKFILE [FOLDER]`, from
# any directory; the folder is .venv unless it is given.
# Leaves the working directory at the root and the environment's Python in $python.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd -- "$root"
lock=$1 venv=${2:-.venv}
base=${PYTHON:-python3}

stop() {
  echo "Error: $1" >&2
  exit 1
}

command -v "$base" >/dev/null || stop "$base is not installed; Python 3.11 or newer is needed (name it with PYTHON=)."
version=$("$base" -c 'import sys; print(f"{sys.version_info[0]}.{sys.version_info[1]}")') || stop "$base does not run."
"$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || stop "$base is Python $version; Python 3.11 or newer is needed (name it with PYTHON=)."
"$base" -c 'import ensurepip, venv' 2>/dev/null || stop "$base has no venv module; install it (Debian and Ubuntu: apt-get install python3-venv)."

# One environment per version of Python; the default version's has no suffix.
default=$(python3 -c 'import sys; print(f"{sys.version_info[0]}.{sys.version_info[1]}")' 2>/dev/null || echo "$version")
[ "$version" = "$default" ] || venv=$venv-$version
python=$root/$venv/bin/python
stamp=$venv/.installed-$(basename "$lock")
wanted=$(cat "$lock" pyproject.toml | sha256sum | cut -d' ' -f1)

if [ ! -x "$python" ] || ! "$python" -c '' 2>/dev/null; then
  rm -rf -- "$venv"
  "$base" -m venv "$venv" || stop "$base could not make the environment $root/$venv."
fi
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  echo "Installing the packages of $lock into $venv (once) ..."
  "$python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock" \
    || stop "the packages of $lock could not be installed; see the lines above."
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . \
    || stop "the package itself could not be installed; see the lines above."
  echo "$wanted" >"$stamp"
fi
