"""How figures mark mixers and values."""

from attn_research.modules import MIXERS
from attn_research.report import figures
from attn_research.report.marks import MARKS, marks


def test_a_mixer_looks_the_same_everywhere_and_like_no_other():
    looks = marks([*MARKS, "conv,dense", "lstm,dense", "window(window=8)"])
    assert len(set(looks.values())) == len(looks)
    assert looks["window(window=8)"].color == looks["window"].color
    for name in MARKS:
        assert marks([name]) == {name: MARKS[name]}


def test_ticks_stand_at_the_values_and_never_on_top_of_each_other():
    assert figures.ticks([1e-3, 4e-3]) == [1e-3, 4e-3]
    assert figures.ticks([32, 64, 128]) == [32, 64, 128]
    crowded = figures.ticks([4096, 4100, 4200, 8192, 65536])
    assert crowded == [4096, 8192, 65536]
    assert figures.ticks([]) == [] and figures.ticks([5.0, 5.0]) == [5.0]
    assert [figures.short(v) for v in (0.001, 64, 4096, 16_384, 2.1e6)] == [
        "0.001",
        "64",
        "4096",
        "16.4k",
        "2.1M",
    ]


def test_no_two_mixers_of_a_figure_look_alike():
    labels = [*MIXERS, "gla(key_size=4)", "conv,dense"]
    looks = marks(labels)
    assert list(looks) == labels
    assert len({(look.color, look.dash) for look in looks.values()} - {None}) > 25
    assert len(set(looks.values())) == len(labels)
