"""Trains one population: one config, every combination of seeds and rates.

    python scripts/train.py --task=recall --model.pattern=dense \
        --lr=1e-3,3e-3 --seed=0,1 --out=runs/first

The directory given by --out holds the run: run the same command again and it resumes.
With --pretrain=masked (or causal) a model of the task's texts is trained first, in
OUT-pretraining, and its trunk is where the run starts from; --init_from=RUN starts from
the trunk of any other run.
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
flags.DEFINE_string(
    "pretrain", None, "Pretrains on the texts of the task first: masked or causal."
)
flags.DEFINE_integer(
    "pretrain_steps", 0, "Steps of pretraining; 0: those of the run.", lower_bound=0
)
define_run()


def run() -> int:
    if not FLAGS.out:
        raise BadInput("--out is missing; give the directory of the run")
    config, population = given_run()
    own = slots.divide(1, slots.cores(), slots.gpus(os.environ))[0]
    os.environ.update(slots.environment(own, members(population), os.environ))
    from attn_research import pretraining, train

    inexact = FLAGS.allow_inexact_resume
    if FLAGS.pretrain is None:
        return train.run(config, population, FLAGS.out, allow_inexact_resume=inexact)
    return pretraining.run(
        config,
        population,
        FLAGS.out,
        FLAGS.pretrain,
        steps=FLAGS.pretrain_steps,
        allow_inexact_resume=inexact,
    )


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
