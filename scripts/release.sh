#!/usr/bin/env bash
# Makes the archives of a release, and uploads nothing: scripts/release.sh VERSION
# The version must be the one of pyproject.toml and have a section in CHANGELOG.md, and
# everything must be committed. Archives and their checksums end in dist/.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh" requirements-dev.lock

[ $# -eq 1 ] || stop "$# arguments are given; there must be one, the version, such as 0.2.0."
version=$1
known=$("$python" -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')
[ "$version" = "$known" ] || stop "the version is $version; it must be $known, as in pyproject.toml."
grep -q "^## $version " CHANGELOG.md || stop "CHANGELOG.md has no section '## $version'; it must say what changed."
[ -z "$(git status --porcelain)" ] || stop "the working tree has changes; it must be committed."

rm -rf -- dist
"$python" -m build --no-isolation --outdir dist .
"$python" -m twine check --strict dist/*
(cd dist && sha256sum ./* | tee SHA256SUMS)
echo "Tag it: git tag -a v$version -m 'Version $version'"
