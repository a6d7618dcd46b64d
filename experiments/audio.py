"""Which mixer recognises a spoken digit from its raw waveform?

Recordings of the Free Spoken Digit data set at 8 kHz, as up to 4,800 samples. Strided
convolutions turn them into 75 positions, which the mixers read. The answer is one of
ten digits; the test split is the official one, with the same speakers. Logistic
regression on log-mel frames reaches 0.92 on it, a guess 0.10.

    python scripts/prepare_data.py fsdd --raw_dir=DIR
    python scripts/sweep.py --experiment=audio --out=runs/audio --workers=2
    python scripts/report.py runs/audio

`--size=strings` transcribes up to four consecutive recordings by connectionist temporal
classification; in `--size=written` a decoder writes them down.

Quick size, 6 to 8 minutes of one core for each mixer: what was expected holds. Accuracy
on the test split, mean of three seeds with its interval:

    gru         0.912 (0.890 to 0.930)
    conv,dense  0.896
    dense       0.894 (0.887 to 0.900)
    linear      0.890 (0.863 to 0.910)
    conv        0.849 (0.843 to 0.853)

The first seed of gru recognises 0.88 to 0.98 of the recordings of each of the six
speakers. After 900 steps dense had 0.840, which was not enough training.

Strings, a minute of one core for each mixer: what was expected holds. Wrong digits per
digit on the test split, mean of three seeds:

    gru         0.018 (0.008 to 0.032)
    conv        0.031
    conv,dense  0.033
    dense       0.058 (0.040 to 0.067)
    linear      0.311 (0.251 to 0.366)
"""

from attn_research.analysis.statistics import best_row, reached, worst
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Study, variant

DENSE = "dense(positions=rope)"

QUICK = Study(
    name="audio",
    question="Which mixer recognises a spoken digit from its raw waveform?",
    claim="Above strided convolutions, every mixer recognises digits in raw waveforms.",
    base=Config(
        task="audio_classification(data=fsdd,form=wave,samples=4800)",
        model=Model(
            width=48,
            layers=2,
            strides=(4, 4, 4),
            dropout=0.3,
            embed_dropout=0.2,
            mlp="gelu",
            mlp_ratio=2.0,
        ),
        train=Train(steps=1800, batch=16, eval_every=600, eval_batches=19),
    ),
    axes={"model.pattern": (DENSE, "linear", "gru", "conv", f"conv,{DENSE}")},
    population=Population(seed=(0, 1, 2), lr=(4e-3,)),
    expectations=(
        Expectation(
            "The best mixer recognises most digits",
            reached,
            low=0.85,
            why="A linear model on the log-mel spectrum has 0.92.",
        ),
        Expectation(
            "Even the worst mixer is far above chance",
            worst,
            low=0.5,
            why="Chance is 0.1 of ten digits.",
        ),
    ),
)
FULL = variant(
    QUICK,
    base={"model.width": 256, "model.layers": 4, "train.steps": 5000},
    axes={**QUICK.axes, "task.form": ("wave", "frames")},
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
STRINGS = variant(
    QUICK,
    question="Which mixer transcribes strings of spoken digits?",
    claim="From log-mel frames, small mixers transcribe most digits of a string.",
    base={
        "task": "spoken_strings(data=fsdd,form=frames,words=4,samples=19200)",
        "model.strides": (4,),
        "model.width": 64,
        "train.steps": 300,
        "train.eval_every": 100,
        "train.test_batches": 19,
    },
    expectations=(
        Expectation(
            "The best mixer gets few digits wrong",
            reached,
            high=0.25,
            unit="error rate",
            why="Digits are wrong in one of four or fewer: three of four right.",
        ),
    ),
)
WRITTEN = variant(
    STRINGS,
    claim="A decoder that reads the encoded recordings writes most of their digits.",
    base={
        "task.writes": "true",
        "train.decode": 256,
        "train.steps": 600,
        "train.eval_every": 200,
    },
    expectations=(
        Expectation(
            "The decoder of the best mixer gets few digits wrong",
            lambda rows: best_row(rows)["decoded.error_rate"],
            high=0.25,
            unit="error rate",
            why="Three of four digits right, as of the other head.",
        ),
    ),
)
STUDIES = {"quick": QUICK, "full": FULL, "strings": STRINGS, "written": WRITTEN}
