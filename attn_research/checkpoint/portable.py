"""One trained member as one file: `MODEL.safetensors`, with all that it needs.

The tensors are its parameters by their paths (`layers/0/kernel`). The metadata hold
`content`, the JSON of its config, sizes, hypers, step, metrics and plugins, and `seal`,
the digest of that and of the tensors: a file that differs from what was written is
refused.
"""

import hashlib
import importlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from attn_research.checkpoint.restored import Restored, built, describe, load
from attn_research.config import Config, to_dict
from attn_research.host import layout
from attn_research.host.durable import Damaged, atomic_write, to_json, unreadable
from attn_research.host.journal import read_journal
from attn_research.options import BadInput, build
from attn_research.plugins import require
from attn_research.pure import mismatch
from attn_research.trees import digest, nest, paths

SUFFIX = ".safetensors"


class Exported(NamedTuple):
    """A file that was written: of which member and step, and how large it is."""

    path: Path
    member: int
    step: int
    bytes: int


def library(path: str | os.PathLike[str]) -> Any:
    """The module that writes and reads a file of this name; raises `BadInput`."""
    if Path(path).suffix != SUFFIX:
        raise BadInput(f"The file is {path}; its name must end in {SUFFIX}")
    try:
        return importlib.import_module("safetensors.numpy")
    except ImportError as error:
        raise BadInput(
            f"{path} needs the package safetensors ({error}); it must be installed, as "
            "by pip install 'attn_research[export]'"
        ) from None


def export(
    run: str | os.PathLike[str],
    path: str | os.PathLike[str],
    member: Literal["best"] | int = "best",
    step: int | None = None,
    replace: bool = False,
) -> Exported:
    """Writes one member of a run as one file, which `read` reads.

    A file that is there must hold the same model, and stays, unless `replace`. Raises
    `BadInput` if it does not, for a member or a step that the run does not have, if the
    package safetensors is missing, and for parameters of a dtype that the format lacks.
    """
    writer = library(path)
    run, path = Path(run), Path(path)
    known = layout.read_config(run) if (run / layout.CONFIG).exists() else None
    restored = load(run, member=member, step=step)
    index = describe(run, member=member, step=restored.step).member
    assert known is not None  # else load has refused the run
    content = to_json(
        {
            "config": to_dict(restored.config),
            "sizes": known.sizes,
            "data": known.data,
            "hypers": restored.hypers,
            "member": index,
            "step": restored.step,
            "metrics": _metrics(run, index, restored.step),
            "plugins": known.plugins,
        }
    )
    tensors = {name: np.asarray(leaf) for name, leaf in paths(restored.params).items()}
    metadata = {"content": content, "seal": _seal(content, tensors)}
    try:
        data = writer.save(tensors, metadata)
    except Exception as error:
        kinds = sorted({str(leaf.dtype) for leaf in tensors.values()})
        raise BadInput(
            f"The parameters are {', '.join(kinds)}; they must be of dtypes that "
            f"safetensors has ({error})"
        ) from None
    if replace or not path.exists():
        atomic_write(path, data)
    elif not _holds(path, metadata):
        raise BadInput(
            f"{path} is there and holds something else; --out must be another file, or "
            "--replace given (in Python replace=True)"
        )
    return Exported(path, index, restored.step, len(data))


def _holds(path: Path, metadata: dict[str, str]) -> bool:
    """Whether a file is whole and has these metadata, which seal its tensors.

    Two files of one model may differ in the order of their metadata.
    """
    try:
        return _sealed(path)[0] == metadata
    except (BadInput, Damaged):
        return False


def _seal(content: str, tensors: dict[str, np.ndarray]) -> str:
    text = f"{content}\0{digest(nest(tensors))}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _metrics(run: Path, member: int, step: int) -> dict[str, Any]:
    """The scores of a member at a step: of its result, else of its log, {} if none."""
    result = layout.read_result(run)
    if result is not None:
        (found,) = [one for one in result["members"] if one["member"] == member]
        if found["step"] == step:
            return {split: found.get(split) for split in ("validation", "test")}
    for record in read_journal(run / layout.METRICS):
        if record["member"] == member and record["step"] == step:
            values = {k: v for k, v in record.items() if k not in ("member", "step")}
            return {"validation": values}
    return {}


def read(path: str | os.PathLike[str], plugins: Sequence[str] = ()) -> Restored:
    """The model in a file that `export` wrote, with the bits that it had.

    Needs the `plugins` that it was trained with, unless they are loaded or installed.
    Raises `Damaged` if the file differs from what was written, and `BadInput` if it is
    of another program or a plugin is missing.
    """
    metadata, tensors = _sealed(path)
    found = json.loads(metadata["content"])
    require(found["plugins"], str(path), plugins)
    config = build(Config, found["config"], "config")
    model = built(config.model, tuple(found["sizes"].items()))
    params = nest({name: jax.device_put(leaf) for name, leaf in tensors.items()})
    different = mismatch(params, jax.eval_shape(model.init, jax.random.key(0)))
    if different:
        raise BadInput(f"The parameters in {path} do not fit its model: {different}")
    data = found.get("data", "")  # files of older versions have none
    return Restored(config, found["hypers"], model, params, found["step"], data)


def _sealed(
    path: str | os.PathLike[str],
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The metadata and the tensors of a file, which agree with its seal."""
    reader = library(path)
    try:
        with reader.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError:
        raise BadInput(
            f"{path} is not there; it must be a file of attn-research export"
        ) from None
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # of the format, of a text in it
        raise Damaged(f"{path} is damaged ({_line(error)})") from error
    if not {"content", "seal"} <= metadata.keys():
        raise BadInput(
            f"{path} has no config of ours; it must be a file of attn-research export"
        )
    try:
        same = _seal(metadata["content"], tensors) == metadata["seal"]
    except (ValueError, TypeError):  # names that no tree has
        same = False
    if not same:
        raise Damaged(f"{path} is damaged (its content does not match its seal)")
    return metadata, tensors


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
