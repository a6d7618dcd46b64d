"""Small images of digits, characters and clothes."""

import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS, Split
from attn_research.tasks.data.raw import content, zipped
from attn_research.tasks.data.schema import DataSet, Example, File, array, label

SIDE, HALF = 28, 5000
ALPHABETS = ("Balinese", "Early_Aramaic", "Greek", "Korean", "Latin")
COUNTS = (24, 22, 24, 40, 26)  # characters in each alphabet
DRAWERS = 20
CLOTHES = (
    "dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts",
    "skirt", "t-shirt",
)  # fmt: skip


def _idx(raw: Path, name: str, axes: int) -> np.ndarray:
    """The bytes of an IDX file (LeCun's format) as an array with `axes` axes."""
    stored = content(raw, name)
    head = np.frombuffer(stored[: 4 + 4 * axes], ">u4")
    if len(head) != 1 + axes or head[0] != 0x800 + axes:
        raise BadInput(f"{raw / name} must be an IDX file of bytes in {axes} axes")
    values = np.frombuffer(stored, np.uint8, offset=4 + 4 * axes)
    if values.size != np.prod(head[1:], dtype=np.int64):
        raise BadInput(
            f"{raw / name} has {values.size:,} values; it must be {head[1:]}"
        )
    return values.reshape(head[1:])


def _mnist(raw: Path) -> Iterator[tuple[Split, Example]]:
    images = _idx(raw, "t10k-images-idx3-ubyte", 3)
    labels = _idx(raw, "t10k-labels-idx1-ubyte", 1)
    for number, (image, digit) in enumerate(zip(images, labels, strict=True)):
        # The second half has other writers and is harder: both are split alike.
        tenth = number % HALF * 10 // HALF
        split = SPLITS[(tenth >= 7) + (tenth >= 8)]
        yield split, {"image": image, "label": digit}


def _omniglot(raw: Path) -> Iterator[tuple[Split, Example]]:
    firsts = np.cumsum((0, *COUNTS)).tolist()
    with zipped(raw, "images_background_small1.zip") as archive:
        for name in sorted(archive.namelist()):
            path = PurePosixPath(name)
            if path.suffix != ".png":
                continue
            _, alphabet, character, drawn = path.with_suffix("").parts
            drawer = int(drawn.partition("_")[2])
            split = SPLITS[(drawer > DRAWERS - 4) + (drawer > DRAWERS - 2)]
            place = ALPHABETS.index(alphabet)
            number = int(character.removeprefix("character"))
            yield (
                split,
                {
                    "image": _strokes(archive.read(name)),
                    "character": firsts[place] + number - 1,
                    "alphabet": place,
                    "drawer": drawer,
                },
            )


def _strokes(png: bytes) -> np.ndarray:
    """A drawing in black on white, as 1 for ink and 0 for paper."""
    try:
        from PIL import Image
    except ImportError:
        raise BadInput(
            "PNG images are read by pillow; install the extra: pip install .[media]"
        ) from None
    with Image.open(io.BytesIO(png)) as image:
        return (np.asarray(image.convert("L")) < 128).astype(np.uint8)


def _clothing(raw: Path) -> Iterator[tuple[Split, Example]]:
    with np.load(io.BytesIO(content(raw, "clothing_32x32_rgb.npz"))) as stored:
        columns = [stored[name] for name in ("name", "image", "label")]
    for name, image, place in zip(*columns, strict=True):
        yield str(name).partition("/")[0], {"image": image, "label": place}  # type: ignore


MNIST_T10K = DataSet(
    name="mnist_t10k",
    task="digits of 28 x 28 pixels",
    licence="CC BY-SA 3.0",
    source="MNIST's test files (LeCun, Cortes & Burges): t10k-*-ubyte.gz",
    folder="mnist_t10k",
    files=(
        File(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        File(
            "t10k-labels-idx1-ubyte",
            10_008,
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    features={
        "image": array("uint8", (SIDE, SIDE), "brightness, 0 is paper"),
        "label": label(map(str, range(10)), "the digit"),
    },
    split="each half of the file, which differ in their sources: the first 7 tenths "
    "train, one validation, two test",
    examples={"train": 7000, "validation": 1000, "test": 2000},
    generate=_mnist,
)

OMNIGLOT_SMALL = DataSet(
    name="omniglot_small",
    task="136 characters of 105 x 105 pixels",
    licence="MIT",
    source="brendenlake/omniglot: python/images_background_small1.zip",
    folder="omniglot_small",
    files=(
        File(
            "images_background_small1.zip",
            1_319_022,
            "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
        ),
    ),
    features={
        "image": array("uint8", (105, 105), "1 is ink, 0 is paper"),
        "character": label(
            (f"{a}_{n + 1}" for a, c in zip(ALPHABETS, COUNTS) for n in range(c)),  # noqa: B905
            "the character, counted through the alphabets",
        ),
        "alphabet": label(ALPHABETS, "its alphabet"),
        "drawer": array("int32", (), "which of the 20 drawings of the character"),
    },
    split="by drawing: of each character 16 train, two validation, two test",
    examples={"train": 2176, "validation": 272, "test": 272},
    generate=_omniglot,
)

CLOTHING32 = DataSet(
    name="clothing32",
    task="10 kinds of clothes, 32 x 32 RGB",
    licence="CC0 1.0",
    source="alexeygrigorev/clothing-dataset-small (cut square and scaled to 32 x 32, "
    "as npz: image, label, name)",
    folder="clothing32",
    files=(
        File(
            "clothing_32x32_rgb.npz",
            10_686_739,
            "ab5b02811ab8864056c838ab349ae1ce3dc55c4b1359b7f1d1b3c5bc44991a11",
        ),
    ),
    features={
        "image": array("uint8", (32, 32, 3), "red, green and blue"),
        "label": label(CLOTHES, "the kind"),
    },
    split="the official folders",
    examples={"train": 3068, "validation": 341, "test": 372},
    generate=_clothing,
)
