"""Small raw files in the form of every data set of the catalogue."""

import dataclasses
import gzip
import hashlib
import io
import json
import zipfile
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from attn_research.tasks.data import images, series, speech
from attn_research.tasks.data.catalogue import DATA_SETS
from attn_research.tasks.data.coreference import COLUMNS
from attn_research.tasks.data.raw import content
from attn_research.tasks.data.schema import Collected, DataSet, File, collect
from attn_research.tasks.data.translation import FILES

HOURS = 12  # of a made table of measurements, of which 10 are used


def data_set(name: str, raw_dir: Path) -> DataSet:
    """The data set of that name, made from small files that are written here."""
    data = DATA_SETS[name]
    folder = raw_dir / data.folder
    folder.mkdir(parents=True, exist_ok=True)
    MAKERS[name](folder)
    if name.startswith("etth"):
        borders = (0, 6, 8, 10)
        generate = partial(series._ett, name=data.files[0].name, borders=borders)
        data = dataclasses.replace(data, generate=generate)
    return known(data, folder)


def known(data: DataSet, folder: Path) -> DataSet:
    """The data set with the digests and the counts of what lies in a folder."""
    counts = Counter(split for split, _ in data.generate(folder))
    files = []
    for file in data.files:
        stored = content(folder, file.name)
        digest = hashlib.sha256(stored).hexdigest()
        files.append(File(file.name, len(stored), digest))
    return dataclasses.replace(data, files=tuple(files), examples=dict(counts))


def read(data: DataSet, raw_dir: Path) -> Collected:
    """What the reader of a data set makes of its files."""
    return collect(data, data.generate(raw_dir / data.folder))


def packed_lines(path: Path, lines: list[str]) -> None:
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))


def zipped(path: Path, members: dict[str, bytes | str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, stored in members.items():
            archive.writestr(name, stored)


# --- one maker a data set ------------------------------------------------------------


def shakespeare(folder: Path) -> None:
    (folder / "input.txt").write_bytes(bytes(range(33, 127)) * 3)


def wikitext(folder: Path) -> None:
    def article(title: str) -> str:
        return (
            f" = {title} = \n \n {title} is <unk> – so . \n \n = = Part = = \n \n x\n"
        )

    for name, titles in (("valid", "abcde"), ("test", "fg")):
        whole = " \n" + "".join(map(article, titles))
        (folder / f"{name}.txt").write_text(whole)


def moby_dick(folder: Path) -> None:
    chapters = [
        {"book": "b", "author": "a", "file": f"chapter-{n}.xhtml", "text": f"{n} — é"}
        for n in range(10)
    ]
    packed_lines(
        folder / "moby_dick.chapters.jsonl.gz", list(map(json.dumps, chapters))
    )


def movie_reviews(folder: Path) -> None:
    members = {
        f"movie_reviews/{mood}/cv{fold}0{n}_1.txt": f"{mood} {fold} {n} . \nso\n"
        for mood in ("neg", "pos")
        for fold in range(10)
        for n in (1, 2)
    }
    readme = {"movie_reviews/README": "about", "movie_reviews/neg/": ""}
    zipped(folder / "movie_reviews.zip", {**readme, **members})


def sentences(folder: Path, name: str, members: tuple[str, str]) -> None:
    zipped(
        folder / f"{name}.zip",
        {
            f"{name}/README.txt": "about",
            f"{name}/{members[0]}": "".join(f"bad {n} . \n" for n in range(10)),
            # A sentence of the other class stands here again.
            f"{name}/{members[1]}": "bad 3 . \n" + "good é . \n" * 2,
        },
    )


def question(context: str, answer: str, name: str) -> dict:
    found = {"text": answer, "answer_start": context.index(answer)}
    return {
        "context": context,
        "qas": [{"id": name, "question": f"What? {name}", "answers": [found]}],
    }


def xquad(folder: Path) -> None:
    for language in ("en", "de", "es"):
        articles = [
            {
                "title": f"Title_{n}",
                "paragraphs": [
                    question(f"{language}: ñandú – übrig {n}", "übrig", "q")
                ],
            }
            for n in range(10)
        ]
        whole = json.dumps({"data": articles, "version": "1"})
        (folder / f"xquad.{language}.json").write_text(whole)


def tico19(folder: Path) -> None:
    for language, name in FILES.items():
        rows = [
            f"{document}:{n}\tone {n}\t{language} – {n}"
            for n, document in enumerate(["CMU_1", "CMU_1", "PubMed_6", "wiki_4"], 1)
        ]
        packed_lines(folder / f"{name}.gz", rows)


def meeting(name: str) -> dict:
    turns = [{"speaker": "Ann", "content": "Zoë ?"}, {"speaker": "Bo", "content": ""}]
    specific = {"query": "Why?", "answer": "So é.", "relevant_text_span": [["0", "1"]]}
    return {
        "meeting_id": name,
        "topic_list": [],
        "general_query_list": [{"query": "Sum up", "answer": "All."}],
        "specific_query_list": [specific],
        "meeting_transcripts": turns,
    }


def qmsum(folder: Path) -> None:
    for name, count in (("train", 10), ("val", 2)):
        lines = [json.dumps(meeting(f"{name}{n}")) for n in range(count)]
        packed_lines(folder / f"{name}.jsonl.gz", lines)


def gap(folder: Path) -> None:
    for name, count in (("development", 10), ("validation", 3)):
        rows = ["\t".join(COLUMNS)]
        for n in range(count):
            text = f"Zoë {n} met Ann Lee and she left."
            right = [("TRUE", "FALSE"), ("FALSE", "TRUE"), ("FALSE", "FALSE")][n % 3]
            at = [text.index(word) for word in ("she", "Zoë", "Ann Lee")]
            cells = (
                f"{name}-{n}", text, "she", at[0], "Zoë", at[1], right[0], "Ann Lee",
                at[2], right[1], f"http://page/{n}",
            )  # fmt: skip
            rows.append("\t".join(map(str, cells)))
        (folder / f"gap-{name}.tsv").write_text("\n".join(rows) + "\n")


def winobias(folder: Path) -> None:
    for kind in (1, 2):
        for stereotype, (he, his) in (("pro", ("he", "her")), ("anti", ("she", "his"))):
            lines = []
            for n in range(0, 20, 2):
                lines.append(
                    f"{n + 1} [The cook] met the clerk because [{he}] ran {n}."
                )
                lines.append(f"{n + 2} The cook met [the clerk] and [{his}] dog {n}. ")
            name = f"{stereotype}_stereotyped_type{kind}.txt.dev"
            (folder / name).write_text("\n".join(lines) + "\n")


def idx(values: np.ndarray) -> bytes:
    head = np.array([0x800 + values.ndim, *values.shape], ">u4")
    return head.tobytes() + values.tobytes()


def mnist(folder: Path) -> None:
    images = np.arange(20 * 28 * 28).astype(np.uint8).reshape(20, 28, 28)
    for kind, values in (("images-idx3", images), ("labels-idx1", np.arange(20) % 10)):
        stored = gzip.compress(idx(values.astype(np.uint8)))
        (folder / f"t10k-{kind}-ubyte.gz").write_bytes(stored)


def strokes(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (105, 105)).astype(np.uint8)


def omniglot(folder: Path) -> None:
    members: dict[str, bytes | str] = {"images_background_small1/Greek/": ""}
    for drawer in range(1, images.DRAWERS + 1):
        file = io.BytesIO()
        Image.fromarray(255 * (1 - strokes(drawer))).convert("1").save(file, "png")
        name = f"images_background_small1/Greek/character02/0394_{drawer:02}.png"
        members[name] = file.getvalue()
    zipped(folder / "images_background_small1.zip", members)


def clothing(folder: Path) -> None:
    name = ["train/hat/1.jpg", "test/dress/2.jpg", "validation/hat/3.jpg"]
    np.savez(
        folder / "clothing_32x32_rgb.npz",
        name=np.array(name),
        image=np.arange(3 * 32 * 32 * 3).astype(np.uint8).reshape(3, 32, 32, 3),
        label=np.array([1, 0, 1], np.int8),
    )


def fsdd(folder: Path, rate: int = speech.RATE) -> None:
    index = np.arange(15)
    np.savez(
        folder / "fsdd_8k_int16.npz",
        audio=np.arange(-60, 60).astype(np.int16),
        offsets=np.array([n * (n + 1) // 2 for n in range(16)]),
        label=index % 10,
        speaker=index % 6,
        speakers=np.array(speech.SPEAKERS),
        index=index,
        rate=np.int32(rate),
    )


def ett(folder: Path, name: str) -> None:
    rows = [
        f"2016-07-{n // 24 + 1:02} {n % 24:02}:00:00," + ",".join([f"{n}.5"] * 7)
        for n in range(HOURS)
    ]
    packed_lines(
        folder / f"{name}.csv.gz", [",".join(["date", *series.CHANNELS]), *rows]
    )


def listops(folder: Path, name: str) -> None:
    rows = [f"{n}\t( ( ( [MAX {n} ) 0 ) ] )" for n in range(10)]
    packed_lines(folder / f"{name}.tsv.gz", rows)


MAKERS = {
    "tinyshakespeare": shakespeare,
    "wikitext2": wikitext,
    "moby_dick": moby_dick,
    "movie_reviews": movie_reviews,
    "subjectivity": partial(
        sentences,
        name="subjectivity",
        members=("plot.tok.gt9.5000", "quote.tok.gt9.5000"),
    ),
    "sentence_polarity": partial(
        sentences,
        name="sentence_polarity",
        members=("rt-polarity.neg", "rt-polarity.pos"),
    ),
    "xquad": xquad,
    "tico19": tico19,
    "qmsum": qmsum,
    "gap": gap,
    "winobias": winobias,
    "mnist_t10k": mnist,
    "omniglot_small": omniglot,
    "clothing32": clothing,
    "fsdd": fsdd,
    "etth1": partial(ett, name="ETTh1"),
    "etth2": partial(ett, name="ETTh2"),
    "listops_d20s": partial(listops, name="test_d20s"),
    "listops_d8": partial(listops, name="test_d8"),
}
