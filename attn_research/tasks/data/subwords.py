"""Subwords: frequent sequences of bytes, learned from a training split.

sentencepiece (Kudo & Richardson, 2018, arXiv:1808.06226) merges pairs (Sennrich et al.,
2015, arXiv:1508.07909) of bytes, not of letters (Wang et al., 2019, arXiv:1909.03341):
decoding restores the encoded bytes, UTF-8 or not. Tokens 0 to 255 are the bytes
themselves, including the zero byte between texts; higher ones are in the order in which
they were learned. A model is stored beside the packed data sets, named by the digests
of its training data and of its own content:

    <data_dir>/subwords/<digest>-<digest>.model
"""

import hashlib
import io
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from attn_research.host import durable
from attn_research.options import BadInput

BYTES, MOST = 256, 65536
FOLDER, LAYOUT = "subwords", 1
LINE = 4096  # bytes learned from or encoded at once
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # how sentencepiece writes a space
UNKNOWN = "\N{EMPTY SET}"  # its piece for unknown text, which never occurs


def _sign(byte: int) -> str:
    """The letter for a byte in the text that sentencepiece reads.

    Printable ASCII is itself; words end at a change of script, so control characters
    are signs and bytes of other letters are letters.
    """
    if byte < 0x20:
        return chr(0x2400 + byte)
    if byte == 0x7F:
        return "\N{SYMBOL FOR DELETE}"
    return chr(byte) if byte < 0x7F else chr(0x100 + byte)


SIGNS = {byte: _sign(byte) for byte in range(BYTES)}
VALUES = {ord(sign): byte for byte, sign in SIGNS.items()} | {ord(SPACE): ord(" ")}


class Subwords:
    """A learned vocabulary; `pieces` has the bytes of each token."""

    def __init__(self, model: bytes):
        self._processor = _sentencepiece().SentencePieceProcessor(model_proto=model)
        signs = self._processor.id_to_piece(list(range(len(self._processor))))
        # The first piece is the unknown one, in place of the byte that ends a text.
        spelled = [bytes([0]), *(_bytes(sign) for sign in signs[1:])]
        merged = [piece for piece in spelled if len(piece) > 1]
        self.pieces = [*(bytes([byte]) for byte in range(BYTES)), *merged]
        place = {piece: token for token, piece in enumerate(self.pieces)}
        self._token_V = np.array([place[piece] for piece in spelled], np.int32)

    def encoded(self, text: Any) -> np.ndarray:
        """The tokens of bytes (or of an array of them)."""
        found: list[int] = []
        for number, part in enumerate(bytes(text).split(b"\0")):
            found += [0] * (number > 0)
            for pieces in self._processor.encode(list(_lines(part)), out_type=int):
                found += pieces
        return self._token_V[np.array(found, np.int64)]


def check(count: int, where: str) -> None:
    """Raises `BadInput` if a vocabulary cannot have this size."""
    if 0 < count <= BYTES:
        raise BadInput(
            f"{where} is {count}; it must be 0 (bytes) or {BYTES + 1} to {MOST:,}"
        )


def learned(texts: Iterable[Any], count: int, data_dir: Path) -> Subwords:
    """The `count` subwords of texts, read from disk if they were learned before.

    Raises `BadInput` if sentencepiece is missing or the texts have fewer.
    """
    _sentencepiece()
    parts = [bytes(text) for text in texts]
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{LAYOUT} {count}".encode())
    for part in parts:
        digest.update(f" {len(part)} ".encode() + part)
    name, folder = digest.hexdigest(), data_dir / FOLDER
    for path in sorted(folder.glob(f"{name}-*.model")):
        model = path.read_bytes()
        if path.stem == f"{name}-{_digest(model)}":
            return Subwords(model)
    model = _learn(parts, count)
    found = Subwords(model)
    if len(found.pieces) < count:
        raise BadInput(
            f"subwords is {count}; for training texts of {sum(map(len, parts)):,} "
            f"bytes it must be at most {len(found.pieces):,}"
        )
    with durable.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    durable.atomic_write(folder / f"{name}-{_digest(model)}.model", model)
    return found


def _learn(texts: list[bytes], count: int) -> bytes:
    """A model of sentencepiece with at most `count` pieces; deterministic."""
    written = io.BytesIO()
    # Every byte occurs alone, often enough for sentencepiece to include it.
    often = 1 + sum(map(len, texts)) // 10**7
    signs = [SIGNS[byte] for byte in range(1, BYTES)] * often
    try:
        _sentencepiece().SentencePieceTrainer.train(
            sentence_iterator=itertools.chain(
                signs,
                *(_lines(part) for text in texts for part in text.split(b"\0")),
            ),
            model_writer=written,
            model_type="bpe",
            vocab_size=count,
            hard_vocab_limit=False,
            character_coverage=1.0,
            max_sentence_length=4 * LINE,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True,
            unk_id=0,
            unk_piece=UNKNOWN,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise BadInput(
            f"sentencepiece cannot learn {count:,} subwords from training texts of "
            f"{sum(map(len, texts)):,} bytes ({reason})"
        ) from None
    return written.getvalue()


def _lines(text: bytes) -> Iterator[str]:
    """The signs of a text's lines, with their ends, in parts of at most `LINE`."""
    for line in text.splitlines(keepends=True):
        for low in range(0, len(line), LINE):
            yield line[low : low + LINE].decode("latin-1").translate(SIGNS)


def _bytes(piece: str) -> bytes:
    return bytes(VALUES[ord(sign)] for sign in piece)


def _digest(model: bytes) -> str:
    return hashlib.blake2b(model, digest_size=16).hexdigest()


def _sentencepiece() -> Any:
    try:
        import sentencepiece
    except ImportError:
        raise BadInput(
            "Subwords need sentencepiece, which is missing; install the extra text "
            "(pip install .[text]), or give subwords=0"
        ) from None
    return sentencepiece
