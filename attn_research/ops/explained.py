"""What `help` says of a public function beside its own text: what it takes.

Parameters are explained by their names, which mean the same in every op. A method that
keeps a contract, and says no more than it, has the text of the contract.
"""

import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

AXES = {
    "B": "batch", "T": "time", "S": "source time", "D": "width", "H": "heads",
    "G": "key/value groups", "K": "query/key head size", "E": "value head size",
    "F": "features", "M": "feature-map size or slots", "C": "chunk", "W": "taps",
    "V": "vocabulary", "P": "members", "N": "states, rows or rounds", "L": "samples",
    "R": "hashes", "Z": "gates", "X": "positions", "1": "1", "J": "updates of a token",
}  # fmt: skip
MEANINGS = {
    "a": "factors of the state",
    "b": "inputs of the state",
    "base": "slowest wavelength over 2 pi",
    "batch": "number of sequences",
    "beta": "how much of the error is corrected, 0 to 2",
    "bias": "numbers to add",
    "block": "tokens of a block, at least 1",
    "bonus": "weight of a token's own key in what it reads, or its logarithm (wkv)",
    "bucket": "whole numbers of the hash buckets of the keys",
    "cap": "soft cap of the scores; None: none",
    "causal": "True: a token sees itself and those before it; False: both sides",
    "cell": "(state, z, r) -> state, such as lstm_cell",
    "chosen": "blocks to see of those that the mask admits; None: all",
    "chunk": "tokens computed at once, at least 1",
    "dilation": "tokens between taps, at least 1",
    "directions": "normal random directions",
    "distance": "whole numbers of tokens between query and key",
    "dtype": "dtype of the result, or of the inputs whose state it is",
    "erase": "keys with which an update reads what it removes",
    "features": "number of features of a key, M",
    "h": "state after the token before",
    "heads": "number of heads, H",
    "implementation": "form that is computed; None: the best that runs here",
    "interpret": "run the kernel's program step by step on any platform",
    "k": "keys",
    "kernel": "weights; those of a cell are (N, Z), or (H, K, Z / H) for its heads",
    "key": "weights of the sums of keys, a row for each position",
    "landmarks": "number of landmarks, at least 1",
    "log": "logarithms of the poles, complex, real part below 0",
    "log_decay": "logarithms of the decays, at most 0; None: no decay",
    "log_decay_after": "the same for what comes after a token",
    "log_forget": "logarithms of the forget gates, at most 0",
    "logarithms": "whether queries and keys are logarithms of their features",
    "logits": "cap, biases, sinks and forget gates of the scores, see Logits",
    "mask": "who sees whom: CAUSAL, FULL, window(...), Local(...) or their like",
    "normalize": "whether weights are divided by their sum",
    "packed": "segments of a row that are computed, at least 1",
    "positions": "whole numbers, the place of each token",
    "q": "queries",
    "query": "True for queries, False for keys",
    "r": "what the recurrent product gives the gates, last axis Z",
    "rate": "decay rates above 0",
    "read": "weights with which a state is read",
    "remove": "keys along which an update removes; None: those of k",
    "rotations": "random rotations of the hashing, as the mixer draws them",
    "rule": "which keys a query selects: Best(...) or Blocks(...)",
    "scale": "learned factor of each channel",
    "segments": "whole numbers: 0 padding, 1, 2, ... sequences; None: one sequence",
    "size": "size of a head's keys, or of its values for a plain sum",
    "source": "whole numbers, the segments of the keys; None: those of the queries",
    "span": "tokens that a token sees within its bucket, W",
    "state": "state after the token before, as its start gives it",
    "step": "step sizes above 0",
    "time": "whole number, the place of the token from 0",
    "u": "inputs",
    "v": "values",
    "value": "weights of the sums of values, a row for each position",
    "values": "size of a head's values, E",
    "wave": "samples of sound",
    "width": "number of channels, D",
    "window": "samples that a frame reads",
    "hop": "samples between frames",
    "bands": "number of mel bands, F",
    "write": "weights with which an input is written, or their logarithms (mLSTM)",
    "x": "inputs",
    "z": "what the input gives the gates, last axis Z",
    "left": "keys before a query",
    "right": "keys after a query",
}


def explain(
    function: Callable[..., Any],
    meanings: Mapping[str, str],
    raises: str = "",
    axes: Mapping[str, str] = AXES,
) -> str:
    """The docstring of a function, what it takes, and what it raises beside.

    `meanings` are by the whole name or by what is before the axes. Raises `KeyError`
    for a parameter that neither the docstring nor `meanings` names.
    """
    said = inspect.getdoc(function) or ""
    lines = [said, "", "Takes:"]
    for name, parameter in inspect.signature(function).parameters.items():
        bare, _, ends = name.rpartition("_")
        sized = ends.isupper()
        about = meanings.get(name) or meanings.get(bare if sized else name)
        if about is None and name not in said:
            raise KeyError(f"{name} of {function.__name__} is not explained")
        parts = [about or "see above"]
        if sized:
            parts.append(f"({', '.join(axes.get(axis, axis) for axis in ends)})")
        if parameter.default is not inspect.Parameter.empty:
            parts.append(f"[{_shown(parameter.default)}]")
        lines += textwrap.wrap(
            f"{name}: {' '.join(parts)}",
            width=80,
            initial_indent="  ",
            subsequent_indent="      ",
            break_on_hyphens=False,
        )
    if raises:
        lines += ["", *textwrap.wrap(f"Raises {raises}", width=80)]
    return "\n".join(lines)


def adopt(cls: type, *contracts: type) -> None:
    """Gives the methods of a class that have no text that of the `contracts`.

    The first contract with a method of that name is taken. Text of the class stays.
    """
    for contract in contracts:
        for name, kept in vars(contract).items():
            method = inspect.getattr_static(cls, name, None)
            text = inspect.getdoc(kept)
            explained = inspect.isfunction(method) or isinstance(method, property)
            if name[0] != "_" or name == "__call__":
                if text and explained and not method.__doc__:
                    method.__doc__ = text


def _shown(default: Any) -> str:
    """A default as `help` shows it."""
    return default.__name__ if isinstance(default, type) else repr(default)
