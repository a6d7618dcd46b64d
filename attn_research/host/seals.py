"""Seals: a file tells by a digest of its own content whether it is what was written.

A sealed JSON file ends in the entry `"seal"`, the digest of every byte before it. Each
line of a sealed log ends in one too, which covers the lines before it as well, so that
a line can be neither changed nor taken out. What older versions wrote has no seal and
is read as it is; what has a part of a seal must have all of it.
"""

import hashlib

SIZE, SHORT = 32, 8  # hexadecimal digits in the seal of a file and of a line
_KEY = b'"seal": "'


def _digest(data: bytes, digits: int) -> bytes:
    return hashlib.blake2b(data, digest_size=digits // 2).hexdigest().encode()


def _looks_sealed(data: bytes, digits: int, after: bytes) -> bool:
    """Whether its key or its digits are at the end: damage may have hit one of them."""
    end = data[-digits - len(after) :]
    digest, mark = end[:digits], end[digits:]
    ends = mark == after and not digest.strip(b"0123456789abcdef")
    return ends or _KEY in data[-digits - len(after) - len(_KEY) - 4 :]


# --- files ---------------------------------------------------------------------------

_BEFORE, _AFTER = b',\n "seal": "', b'"\n}\n'


def seal(text: str) -> bytes:
    """An indented JSON object, not empty, with its seal as the last entry."""
    body = text.encode().removesuffix(b"\n}")
    return body + _BEFORE + _digest(body, SIZE) + _AFTER


def sealed(data: bytes) -> bool:
    """Whether the content of a JSON file is sealed.

    Raises ValueError if it is not what was sealed.
    """
    if not _looks_sealed(data, SIZE, _AFTER):
        return False
    body = data[: -len(_BEFORE) - SIZE - len(_AFTER)]
    if data != body + _BEFORE + _digest(body, SIZE) + _AFTER:
        raise ValueError("it differs from what was sealed")
    return True


# --- logs ----------------------------------------------------------------------------

_COMMA, _END = b', "seal": "', b'"}'


class Chain:
    """The seals of the lines of a log, each of which covers all lines before it.

    `seal` is that of the last line, "" before the first one.
    """

    def __init__(self) -> None:
        self.seal = ""
        self._begun = False

    def _next(self, body: bytes) -> bytes:
        digest = _digest(self.seal.encode() + body, SHORT)
        self.seal = digest.decode()
        return digest

    def sealed(self, text: str) -> bytes:
        """A JSON object, not empty, as the next line, with its seal as last entry."""
        body, self._begun = text.encode()[:-1], True
        return body + _COMMA + self._next(body) + _END + b"\n"

    def follow(self, line: bytes) -> None:
        """Takes the next line of a log that is read, without its newline.

        Raises ValueError if it is not what was sealed. Lines without a seal may come
        before the first one that has it.
        """
        looks = _looks_sealed(line, SHORT, _END)
        if not looks and not self._begun:
            self._next(line)
            return
        body = line[: -len(_COMMA) - SHORT - len(_END)]
        if not looks or line != body + _COMMA + self._next(body) + _END:
            raise ValueError("it differs from what was sealed")
        self._begun = True
