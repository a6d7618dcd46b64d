#!/usr/bin/env bash
# Installs, runs the default study at the smallest scale, and shows what came out.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh" requirements.lock

began=$SECONDS
out=runs/recall_distance
"$python" scripts/sweep.py --experiment=recall_distance --scale=nano --seed=0,1,2 --out="$out" --workers=2 "$@"
"$python" scripts/report.py "$out"
cat <<END
Time without the installation: $((SECONDS - began)) s

To go on, in this shell:
  . $root/$venv/bin/activate
  attn-research --help                                     # the commands
  attn-research sweep --out=$out --status  # the cells of this study
  scripts/docs.sh                                          # the documentation
END
