"""What the steps of a run read: arrays on its devices, or rows that the host sends.

The rows of a step are a function of the seed and the step, so that a run that resumes
needs no state of a reader: it asks for the rows of its next step. They come in blocks
of steps, and while the devices compute those of one, a thread reads and sends the next.
"""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from attn_research import tasks
from attn_research.config import Config, Population, Train
from attn_research.host import memory
from attn_research.options import INT_MAX
from attn_research.tasks.contract import Split
from attn_research.tasks.parts import windows
from attn_research.training import program
from attn_research.training.population import place
from attn_research.training.predictions import evaluation_key

SHARE = 4  # a text may fill one of so many parts of the free memory of a device
BLOCK, STEPS = 2**25, 256  # bytes and steps of a block, at most


class Feed(Protocol):
    """Where batches come from."""

    content: Any  # the data, for their digest and for notes on them
    shapes: Any  # what `steps` and `judged` return, or its shapes

    def place(self, devices: Any) -> None:
        """Puts on the devices what stays there."""
        ...

    def most(self, step: int) -> int:
        """The number of steps from this one on that one dispatch may take."""
        ...

    def steps(self, step: int) -> Any:
        """What the training steps from this one on read."""
        ...

    def judged(self, testing: bool) -> Any:
        """What an evaluation on the test, or on validation, reads."""
        ...

    def shown(self, count: int, rows: int) -> Any:
        """What decoding of `count` examples of the test, `rows` at a time, reads."""
        ...


class Held:
    """All data on every device."""

    def __init__(self, content: Any):
        self.content = self.shapes = content

    def place(self, devices: Any) -> None:
        self.content = self.shapes = place(self.content, devices, shared=True)

    def most(self, step: int) -> int:
        return INT_MAX

    def steps(self, step: int) -> Any:
        return self.content

    def judged(self, testing: bool) -> Any:
        return self.content

    def shown(self, count: int, rows: int) -> Any:
        return self.content


class Sent:
    """The rows of the coming steps, of a text that stays in its files."""

    def __init__(self, content: Any, config: Config, population: Population, spec: Any):
        self.content, self._train = content, config.train
        self._seed_S = np.array(sorted(set(population.seed)), np.int32)
        self._length = spec.length + 1
        train, seeds = config.train, len(self._seed_S)
        rows = train.batch * self._length
        each = min(STEPS, max(1, BLOCK // (seeds * rows)), train.steps)
        # One program reads all of them: training, validation and the test.
        self._most = max(seeds * each, train.eval_batches, train.test_batches)
        self._each = min(self._most // seeds, max(train.steps, 1))
        shape = jax.ShapeDtypeStruct
        self.shapes = {
            "text": windows.Windows(
                shape((self._most, 2), jnp.uint32),
                shape((self._most,), jnp.int32),
                shape((self._most, train.batch, self._length), jnp.uint8),
            )
        }
        self._keys = _data_keys(train)
        self._thread = ThreadPoolExecutor(1)  # ends when nothing refers to it
        self._coming: dict[int, Future[Any]] = {}
        self._judged: dict[bool, Any] = {}
        self._devices: Any = None

    def place(self, devices: Any) -> None:
        self._devices = devices

    def most(self, step: int) -> int:
        return self._each - step % self._each

    def steps(self, step: int) -> Any:
        block = step // self._each
        for wanted in (block, block + 1):
            first = wanted * self._each
            if wanted not in self._coming and first < self._train.steps:
                step_U = first + np.arange(self._each, dtype=np.int32)
                key_N2 = np.asarray(self._keys(self._seed_S, step_U)).reshape(-1, 2)
                self._coming[wanted] = self._asked(key_N2, "train")
        self._coming = {n: f for n, f in self._coming.items() if n >= block}
        return self._coming[block].result()

    def judged(self, testing: bool) -> Any:
        if testing not in self._judged:
            train = self._train
            count = train.test_batches if testing else train.eval_batches
            split: Split = "test" if testing else "validation"
            asked = self._asked(_evaluation_keys(range(count)), split)
            self._judged[testing] = asked.result()
        return self._judged[testing]

    def shown(self, count: int, rows: int) -> Any:
        if not count:
            return {}
        key_N2 = _evaluation_keys(range(-(-count // rows)))
        text = self.content["text"]
        start_NB = windows.places(text, key_N2, "test", rows, self._length)
        return {"text": windows.read(text, key_N2, "test", start_NB, self._length)}

    def _asked(self, key_N2: np.ndarray, split: Split) -> Future[Any]:
        """Rows of these keys on the devices, when the thread has read them."""
        text, size = self.content["text"], self._train.batch
        # Drawn here: the devices would do so for the thread after the steps under way.
        # Of as many keys each time: one program for all of them.
        key_M2 = _filled(key_N2, self._most)
        start_MB = windows.places(text, key_M2, split, size, self._length)
        start_NB = start_MB[: len(key_N2)]

        def sent() -> Any:
            read = windows.read(text, key_N2, split, start_NB, self._length)
            filled = jax.tree.map(partial(_filled, count=self._most), read)
            return place({"text": filled}, self._devices, shared=True)

        return self._thread.submit(sent)


def opened(config: Config, population: Population, task: tasks.Task) -> Feed:
    """The feed of a run, as its config asks for it.

    Raises `BadInput` if the data are not there, or too many for a device that must hold
    them.
    """
    if config.train.data == "device" or not tasks.stored(task):
        return Held(task.arrays())
    content = task.stored()
    if config.train.data == "host" or _too_large(len(content["text"].values_L)):
        return Sent(content, config, population, task.spec)
    return Held(windows.held(content))


def _too_large(size: int) -> bool:
    """Whether an array of so many bytes is too large for each device to hold it."""
    free = memory.available(jax.local_devices()[0])
    return size > INT_MAX or (free is not None and size > free // SHARE)


def _data_keys(train: Train) -> Any:
    """A function of seed_S and step_U: key_SU2, compiled once."""

    def key(seed: jax.Array, step: jax.Array) -> jax.Array:
        return jax.random.key_data(program.data_key(train, seed, step))

    over_steps = jax.vmap(key, in_axes=(None, 0))
    return jax.jit(jax.vmap(over_steps, in_axes=(0, None)))


def _evaluation_keys(indices: Iterable[int]) -> np.ndarray:
    keys = [jax.random.key_data(evaluation_key(index)) for index in indices]
    return np.stack([np.asarray(key) for key in keys])


def _filled(leaf_N: np.ndarray, count: int) -> np.ndarray:
    """The array with `count` entries, the last one repeated."""
    more = np.repeat(leaf_N[-1:], count - len(leaf_N), axis=0)
    return np.concatenate([leaf_N, more])
