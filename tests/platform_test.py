"""One function says where a program will run, and nothing beside it asks jax."""

import re

from tests.command import PACKAGE

ASKS = re.compile(
    r"default_backend|platform_version|platform_dependent|get_backend"
    r"|(?<!sys)\.platform [!=]="
)
# What is left: who asks a device for what it is, not where a program will run.
ELSEWHERE = {
    "attn_research/ops/platform.py": "the one function",
    "attn_research/host/memory.py": "whether a device has memory of its own",
}


def askers(texts: dict[str, str]) -> set[str]:
    return {path for path, text in texts.items() if ASKS.search(text)}


def test_nothing_else_asks_jax_where_it_runs():
    texts = {
        str(path.relative_to(PACKAGE.parent)): path.read_text()
        for path in PACKAGE.rglob("*.py")
    }
    assert askers(texts) <= set(ELSEWHERE)


def test_a_question_would_be_seen():
    asked = {"a.py": 'if jax.default_backend() == "cpu":', "b.py": "platform()"}
    asked |= {"c.py": 'device.platform == "gpu"', "d.py": 'sys.platform == "linux"'}
    assert askers(asked) == {"a.py", "c.py"}
