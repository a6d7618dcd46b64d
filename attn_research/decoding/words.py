"""The words of a text in its language, for metrics that count words.

In Chinese, Japanese, Thai, Lao, Khmer, Burmese and Tibetan no space is between words: a
word is a single letter with its marks there, elsewhere a run of letters, marks and
digits.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

# Languages that are written without spaces between words, and their scripts, by the
# names of their letters in Unicode.
UNSPACED = ("zh", "ja", "th", "lo", "km", "my", "bo")
SCRIPTS = (
    "CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN",
)  # fmt: skip
KANA = ("HIRAGANA", "KATAKANA")
MANY = 0.2  # of all letters: names in other scripts are common
# As Rajpurkar et al., 2016, and Lewis et al., 2019, arXiv:1910.07475, leave out.
ARTICLES = {
    "en": "a|an|the",
    "de": "ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des",
    "es": "un|una|unos|unas|el|la|los|las",
}


def unspaced(texts: Iterable[str], language: str = "") -> bool:
    """Whether no space is between words: by the language, or by most letters."""
    if language[:2].lower() in UNSPACED:
        return True
    letters = [sign for text in texts for sign in text if sign.isalpha()]
    return sum(_of(sign, SCRIPTS) for sign in letters) > MANY * len(letters)


def chinese(texts: Iterable[str], language: str = "") -> bool:
    """Whether texts without spaces are Chinese: by the language, or by the letters."""
    if language[:2].lower() in UNSPACED:
        return language[:2].lower() == "zh"
    letters = [sign for text in texts for sign in text if _of(sign, SCRIPTS)]
    kana = any(_of(sign, KANA) for sign in letters)
    return not kana and all(_of(sign, ("CJK",)) for sign in letters)


def words(text: str, single: bool = False) -> list[str]:
    """The words of a text in lower case; letters of scripts without spaces `single`."""
    return list(_words(unicodedata.normalize("NFC", text).casefold(), single))


def _words(text: str, single: bool) -> Iterator[str]:
    word = ""
    for sign in text:
        category = unicodedata.category(sign)[0]
        alone = single and category != "M" and _of((word + sign)[0], SCRIPTS)
        if category not in "LMN" or alone or (single and _of(sign, SCRIPTS)):
            if word and category == "M":
                word += sign
                continue
            if word:
                yield word
            word = sign if category in "LMN" else ""
        else:
            word += sign
    if word:
        yield word


def plain(text: str, language: str = "", single: bool = False) -> str:
    """A text in lower case without punctuation and articles, words a space apart.

    English, and texts of an unknown language, lose the punctuation of ASCII and English
    articles, as in SQuAD (Rajpurkar et al., 2016, arXiv:1606.05250), others all
    punctuation and their own articles. `single` letters stand alone.
    """
    if single:
        return " ".join(words(text, single))
    english = language[:2].lower() in ("", "en")
    letters = "".join(sign for sign in text.lower() if not _mark(sign, english))
    if articles := ARTICLES.get(language[:2].lower() or "en"):
        letters = re.sub(rf"\b({articles})\b", " ", letters)
    return " ".join(letters.split())


def _mark(sign: str, ascii_only: bool) -> bool:
    """Whether a sign is punctuation."""
    if sign.isascii():
        return sign.isprintable() and not sign.isalnum() and sign != " "
    return not ascii_only and unicodedata.category(sign).startswith("P")


def _of(sign: str, scripts: tuple[str, ...]) -> bool:
    """Whether a sign belongs to one of the scripts."""
    return not sign.isascii() and unicodedata.name(sign, "").startswith(scripts)
