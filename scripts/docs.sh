#!/usr/bin/env bash
# Builds the site of docs/ into build/site, in an environment of its own (.venv-docs); a
# warning is an error. Arguments go to MkDocs: scripts/docs.sh --site-dir=DIR
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh" requirements-docs.lock .venv-docs

# The theme's word on another version of MkDocs is no warning about the pages.
export NO_MKDOCS_2_WARNING=1 JAX_PLATFORMS=cpu MPLBACKEND=agg
"$python" -m mkdocs build --strict --clean "$@" || stop "the site could not be built; see the lines above."
echo "The site: $root/build/site/index.html (its search needs a server: python -m http.server --directory build/site)"
