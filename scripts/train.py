"""Trains one population: one config, every combination of seeds and rates.

    python scripts/train.py --task=recall --model.pattern=dense \
        --lr=1e-3,3e-3 --seed=0,1 --out=runs/first

The directory given by --out holds the run: run the same command again and it resumes.
"""

import os
import sys

from absl import flags

from attn_research.flags import FLAGS, define_run, given_run, main
from attn_research.launch import slots
from attn_research.layout import members
from attn_research.options import BadInput

flags.DEFINE_string("out", None, "Directory of the run; made where it is missing.")
flags.DEFINE_bool(
    "allow_inexact_resume", False, "Resume in an environment that may change bits."
)
define_run()


def run() -> int:
    if not FLAGS.out:
        raise BadInput("--out is missing; give the directory of the run")
    config, population = given_run()
    own = slots.divide(1, slots.cores(), slots.gpus(os.environ))[0]
    os.environ.update(slots.environment(own, members(population), os.environ))
    from attn_research import train

    return train.run(
        config,
        population,
        FLAGS.out,
        allow_inexact_resume=FLAGS.allow_inexact_resume,
    )


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
