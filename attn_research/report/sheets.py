"""Images of a result as pictures that a page holds: grids of many, or one by one."""

import base64
import io
import math

import numpy as np

from attn_research import pictures

GAP, PAPER = 1, 200  # pixels between images, and how light they are


def sheets(decoded: dict) -> list[dict[str, str]]:
    """The images drawn beside those of the test split, each a grid."""
    found = decoded.get("pictures")
    if not found:
        return []
    drawn, real = (pictures.unpacked(found[name]) for name in ("drawn", "real"))
    return [
        {"source": _inlined(grid(images)), "caption": caption, "about": about}
        for images, caption, about in (
            (drawn, "Drawn by the model", f"{len(drawn)} images that the model drew"),
            (real, "Of the test split", f"{len(real)} images of the test split"),
        )
    ]


def misread(decoded: dict) -> list[dict[str, str]]:
    """Every image that was misread, with what it is and what it was read as."""
    found = decoded.get("misread")
    if not found:
        return []
    return [
        {
            "source": _inlined(image),
            "caption": f"{true}, read as {said}",
            "about": f"An image of the class {true} that was read as {said}",
        }
        for image, (true, said) in zip(
            pictures.unpacked(found), found["names"], strict=True
        )
    ]


def grid(image_NHWC: np.ndarray) -> np.ndarray:
    """Images in rows and columns, about as many of each, a line between them."""
    count, height, width, channels = image_NHWC.shape
    columns = math.ceil(math.sqrt(count))
    lines = math.ceil(count / columns)
    shape = lines * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels
    sheet = np.full(shape, PAPER, np.uint8)
    for place, image in enumerate(image_NHWC):
        line, column = divmod(place, columns)
        top, left = GAP + line * (height + GAP), GAP + column * (width + GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet


def _inlined(image_HWC: np.ndarray) -> str:
    """An image as the address of a PNG; one of neither 1 nor 3 channels in grey."""
    from matplotlib.image import imsave

    if image_HWC.shape[2] != 3:
        grey = image_HWC.mean(axis=2, keepdims=True).astype(np.uint8)
        image_HWC = np.repeat(grey, 3, axis=2)
    content = io.BytesIO()
    imsave(content, image_HWC, format="png", metadata={"Software": ""})
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
