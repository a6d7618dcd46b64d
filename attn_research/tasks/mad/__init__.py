"""The six tasks of mechanistic architecture design, in their published settings.

Poli et al., 2024, arXiv:2403.17844. The defaults are the published baselines; the paper
varies one option at a time around them and averages. Training sees a fixed number of
examples, 200 times each, in batches of 128, and a test has 1,280; for 12,800 examples

    --train.batch=128 --train.distinct_batches=100 --train.steps=20000
    --train.test_batches=10 --lr=1e-4,5e-4,1e-3 --weight_decay=0,0.1
    --model.width=128 --model.layers=2 --model.mlp=swiglu

and the best of the six members counts. For another number of examples, scale
`distinct_batches` and `steps` alike. The published score is the accuracy of each class
of targets, averaged over classes; `accuracy` here is averaged over targets.
"""

from attn_research.tasks.mad.compression import MadCompression
from attn_research.tasks.mad.copying import MadSelectiveCopying
from attn_research.tasks.mad.fuzzy import MadFuzzyRecall
from attn_research.tasks.mad.memorization import MadMemorization
from attn_research.tasks.mad.recall import MadNoisyRecall, MadRecall

__all__ = [
    "MadCompression",
    "MadFuzzyRecall",
    "MadMemorization",
    "MadNoisyRecall",
    "MadRecall",
    "MadSelectiveCopying",
]
