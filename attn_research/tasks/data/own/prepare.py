"""Preparing a user's own set: understood, archived by TFDS, packed, as ours are."""

import re
from collections.abc import Iterator
from pathlib import Path

from attn_research.host.lock import Lock
from attn_research.options import BadInput
from attn_research.options.specs import word
from attn_research.tasks.contract import SPLITS, Split
from attn_research.tasks.data import builder, packed, prepare
from attn_research.tasks.data.catalogue import DATA_SETS
from attn_research.tasks.data.display import Bar
from attn_research.tasks.data.own.kinds import languages
from attn_research.tasks.data.own.understood import Understood
from attn_research.tasks.data.packed import Damaged
from attn_research.tasks.data.schema import DataSet, Example, collect

NAME = re.compile("[a-z][a-z0-9_]{0,59}")
TFDS = ("imdb_reviews", "cifar10", "wmt14_translate")  # sets that the help names


def named(given: str, source: Path) -> str:
    """The name of a set, from that of its file if none is given.

    Raises `BadInput` for one of ours or of TFDS, and for one that TFDS cannot write.
    """
    name = given
    if not given:
        plain = re.sub("[^a-z0-9]+", "_", source.stem.lower()).strip("_")
        name = plain if NAME.fullmatch(plain) else f"own_{plain}"[:60]
    if name in DATA_SETS or name == "all":
        raise BadInput(f"--name is {name}, which is one of ours; it must be another")
    if name in TFDS:
        raise BadInput(f"--name is {name}, which is one of TFDS; it must be another")
    if not NAME.fullmatch(name):
        raise BadInput(
            f"--name is {name!r}; it must be at most 60 of a-z 0-9 _ and begin with a "
            "letter"
        )
    return name


def store(found: Understood, where: Path, replace: bool, bar: Bar) -> bool:
    """Packs a set in `where`; returns whether it was packed now.

    The same content, whole, is left alone. Raises `BadInput` if other content has its
    name, unless it is to be replaced.
    """
    data = found.data
    with Lock(where / packed.FOLDER / data.name):
        taken = _taken(data.name, where)
        if taken == found.digest and _whole(data.name, where):
            return False
        if taken not in (None, found.digest) and not replace:
            raise BadInput(
                f"{data.name} in {where} holds other content; the name must be another "
                "(--name), or --replace must be given"
            )
        stream: Iterator[tuple[Split, Example]] = (
            (split, example) for split in SPLITS for example in found.splits[split]
        )
        total = sum(map(len, found.splits.values()))
        made = collect(data, bar.track(stream, "read", total))
        facts = {
            "source": {"content": found.digest},
            "replaced": made.replaced,
            "statistics": found.statistics,
        }
        prepare.write(data, made, where, facts, bar)
        if not _whole(data.name, where):
            raise Damaged(f"{data.name} in {where} is not what was written; check the "
                          "disk")  # fmt: skip
        return True


def _taken(name: str, where: Path) -> str | None:
    """The content that has a name, `` if it is not known, None if the name is free."""
    if packed.location(name, where) is not None:
        try:
            content = packed.manifest(name, where)["source"].get("content")
            return content if isinstance(content, str) else ""
        except (Damaged, KeyError, AttributeError):
            pass
    archived = builder.directory(name, where)
    if archived is not None:
        told = (archived / "dataset_info.json").read_text(errors="replace")
        noted = re.search(r"own data, content ([0-9a-f]{32})", told)
        return noted[1] if noted else ""
    return None if packed.location(name, where) is None else ""


def _whole(name: str, where: Path) -> bool:
    return packed.location(name, where) is not None and prepare.verified(name, where)


def spec(kind: str, data: DataSet, data_dir: str) -> str:
    """The task that reads a set."""
    options = [f"data={data.name}"]
    if kind == "translation":
        origin, into = languages(data.features)[:2]
        options += [f"origin={origin}", f"into={into}"]
    if data_dir:
        options.append(f"data_dir={word(data_dir)}")
    return f"{kind}({','.join(options)})"
