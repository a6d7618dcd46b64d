"""Tasks of texts against the examples of their sets, read one by one on the host."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from attn_research import tasks
from attn_research.options import BadInput
from attn_research.tasks import SPLITS
from attn_research.tasks.data import packed
from attn_research.tasks.parts import set_notes
from tests.tasks.mocks import COUNTS
from tests.tasks.rows import drawn, padded, whole
from tests.tasks.specs import SOURCE

pytestmark = pytest.mark.usefixtures("data_sets")


@pytest.mark.parametrize("split", SPLITS)
def test_a_text_and_its_class(split):
    _, columns, batch = whole("classification(length=40)", split)
    assert len(batch.inputs) == COUNTS[split]
    for row, text in enumerate(columns["text"]):
        np.testing.assert_array_equal(batch.inputs[row], padded(text, 40))
        assert batch.segments[row].sum() == min(40, len(text))
    np.testing.assert_array_equal(batch.targets, columns["label"].values)


def test_stretches_of_bytes_are_hashed_alike_wherever_they_stand():
    _, _, plain = whole("classification(length=40)", "test")
    _, _, found = whole("classification(length=40,grams=3,buckets=1000)", "test")
    seen: dict[bytes, set[int]] = {}
    for bytes_T, token_T in zip(plain.inputs, found.inputs, strict=True):
        before = [0, 0, *bytes_T.tolist()]
        for place, token in enumerate(token_T.tolist()):
            code = 2166136261
            for byte in before[place : place + 3]:
                code = (code ^ byte) * 16777619 % 2**32
            assert token == (code ^ code >> 15) % 1000
            seen.setdefault(bytes(before[place : place + 3]), set()).add(token)
    assert all(len(tokens) == 1 for tokens in seen.values())
    assert len(set.union(*seen.values())) > 0.75 * len(seen)


def test_what_a_pronoun_may_mean_is_marked():
    _, columns, batch = whole("classification(data=gap,length=90)", "test")
    for row, text in enumerate(columns["text"]):
        told = bytes(batch.inputs[row].astype(np.uint8).tolist()).rstrip(b"\0")
        plain = told.translate(None, bytes(range(1, 7)))
        assert plain == text.tobytes()
        for name, (opens, closes) in {"pronoun": (1, 2), "a": (3, 4)}.items():
            low, high = columns[name].values[row]
            inside = told[told.index(opens) + 1 : told.index(closes)]
            assert inside == text.tobytes()[low:high]


def test_the_name_that_a_pronoun_means_is_found_where_it_stands():
    _, columns, batch = whole("pronouns(length=200)", "test")
    seen = set()
    for row, label in enumerate(columns["label"].values.tolist()):
        first, last = batch.targets[row]
        text = bytes(batch.inputs[row].astype(np.uint8).tolist())
        plain = columns["text"][row].tobytes()
        assert text.rstrip(b"\0")[1:].translate(None, b"\1\2") == plain
        low, high = columns["pronoun"].values[row]
        assert text[text.index(1) + 1 : text.index(2)] == plain[low:high]
        name = text[first : last + 1]
        seen.add(label)
        if label == 2:
            assert (first, last) == (0, 0) and name == b"-" and batch.gap[row] == -1
            continue
        low, high = columns["ab"[label]].values[row]
        assert name == plain[low:high]
        assert batch.gap[row] == text.index(1) - first
    assert seen == {0, 1, 2}
    np.testing.assert_array_equal(batch.group, columns["gender"].values)


@pytest.mark.parametrize("language", ["en", "all"])
def test_the_answer_stands_where_the_span_says(language):
    spec = f"question_answering(length=200,language={language})"
    _, columns, batch = whole(spec, "train")
    chosen = [
        i for i in range(COUNTS["train"])
        if language == "all" or columns["language"].values[i] == 0
    ]  # fmt: skip
    assert len(chosen) == len(batch.inputs)
    for row, number in enumerate(chosen):
        first, last = batch.targets[row]
        answer = batch.inputs[row, first : last + 1]
        np.testing.assert_array_equal(answer, columns["answer"][number])
        question = columns["question"][number]
        np.testing.assert_array_equal(batch.inputs[row, : len(question)], question)
        assert batch.inputs[row, len(question)] == 0
        assert batch.gap[row] == first - len(question) - 1


def test_what_is_cut_is_told():
    task = tasks.make("question_answering(length=60,language=all)")
    notes = task.notes(task.arrays())
    assert any("are longer than 60 and are cut" in note for note in notes)
    columns = packed.load("movie_reviews")
    sizes = [len(text) for split in SPLITS for text in columns[split]["text"]]
    task = tasks.make(f"classification(length={min(sizes)})")
    assert "are longer than" in task.notes(task.arrays())[0]
    assert len(task.notes(task.arrays())) == 1
    task = tasks.make("classification(length=4000)")
    share = 1 - sum(sizes) / len(sizes) / 4000
    assert task.notes(task.arrays()) == [
        f"{share:.1%} of all positions are padding: texts have "
        f"{sum(sizes) / len(sizes):,.0f} bytes on average, a row has 4,000; "
        f"{max(sizes)} would be enough."
    ]
    assert set_notes.cut([10, 30], 20, "texts") == (
        "1 of 2 texts are longer than 20 and are cut there: 25.0% of the data is not "
        "read."
    )
    # What is cut fills its row: 3 of 4 places hold something.
    assert set_notes.padding([10, 30], 20, "texts", "bytes") == (
        "25.0% of all positions are padding: texts have 20 bytes on average, a row has "
        "20."
    )
    assert set_notes.padding([1000, 995], 1000, "texts", "bytes") is None


def test_a_question_whose_answer_is_cut_is_left_out():
    task = tasks.make("question_answering(length=60,language=all)")
    arrays = task.arrays()
    columns = packed.load("xquad")
    ends = [
        len(question) + 1 + start + len(answer)
        for split in SPLITS
        for question, start, answer in zip(
            columns[split]["question"],
            columns[split]["start"].values.tolist(),
            columns[split]["answer"],
            strict=True,
        )
    ]
    lost = sum(end > 60 for end in ends)
    assert 0 < lost < len(ends)
    told = f"{lost} questions are left out: their answers are cut off."
    assert told in task.notes(arrays)
    assert sum(int(task.count(s, arrays)) for s in SPLITS) == len(ends) - lost


def test_a_translation_is_asked_for_byte_by_byte():
    spec = "translation(into=pt,source_length=60,length=40)"
    _, columns, batch = whole(spec, "validation")
    for row in range(COUNTS["validation"]):
        source, target = columns["en"][row], columns["pt"][row]
        np.testing.assert_array_equal(batch.source[row], padded(source, 60))
        written = np.append(target, 0)
        np.testing.assert_array_equal(batch.targets[row], padded(written, 40))
        np.testing.assert_array_equal(
            batch.inputs[row], padded(np.append(0, target), 40)
        )
        assert batch.weights[row].sum() == min(40, len(written))


def test_the_sentences_of_a_document_are_joined():
    task, columns, batch = whole(
        "translation(unit=document,source_length=300,length=300)", "train"
    )
    assert len(batch.source) == -(-COUNTS["train"] // 3)
    for row, start in enumerate(range(0, COUNTS["train"], 3)):
        places = range(start, min(start + 3, COUNTS["train"]))
        text = b"\n".join(columns["en"][i].tobytes() for i in places)
        told = bytes(batch.source[row].astype(np.uint8).tolist())
        assert told[: len(text)] == text[:300]
    with pytest.raises(BadInput, match="The language is 'xx'; for tico19 it must be"):
        replace(task, into="xx").arrays()


def test_pairs_are_packed_as_many_as_fit_whole():
    """Every segment is one pair, read alone; the next one would have had no room."""
    task = tasks.make("translation(source_length=150,length=150,pairs=4)")
    batch = drawn(task, jax.random.key(0), "train", 64)
    columns = packed.load("tico19")["train"]
    both = zip(columns["en"], columns["fr"], strict=True)
    known = {bytes(one): bytes(other) for one, other in both}
    pairs = np.zeros(64, int)
    for row in range(64):
        for segment in range(1, 5):
            told = batch.source[row][batch.source_segments[row] == segment]
            asked = batch.segments[row] == segment
            if not asked.any():
                continue
            target = bytes(batch.targets[row][asked].tolist())
            assert target == known[bytes(told.tolist())] + b"\0"
            inputs = bytes(batch.inputs[row][asked].tolist())
            assert inputs == b"\0" + target[:-1]
            pairs[row] = segment
        np.testing.assert_array_equal(batch.weights[row], batch.segments[row] > 0)
    assert pairs.min() >= 1 and 2 < pairs.mean() and pairs.max() == 4
    # Elsewhere an example is a row.
    one = drawn(task, jax.random.key(0), "test", 8)
    assert one.segments.max() == 1 == one.source_segments.max()


@pytest.mark.parametrize("passages", ["true", "false"])
def test_a_summary_reads_its_question_and_meeting(passages):
    _, columns, batch = whole(
        f"summarisation(source_length=400,length=99,passages={passages})", "test"
    )
    row = 0
    for number in range(COUNTS["test"]):
        transcript = columns["transcript"][number].tobytes()
        edges = [*columns["turns"][number].tolist(), len(transcript)]
        for place in range(3):
            query = columns["queries"][number][place].tobytes()
            told = transcript
            if passages == "true" and place < 2:
                ranges = [[(0, 1), (3, 3)], [(2, 4)]][place]
                told = b"".join(transcript[edges[a] : edges[b + 1]] for a, b in ranges)
            source = bytes(batch.source[row].astype(np.uint8).tolist())
            wanted = (query + b"\0" + told)[:400]
            assert source[: len(wanted)] == wanted
            assert batch.source_segments[row].sum() == len(wanted)
            summary = columns["summaries"][number][place]
            np.testing.assert_array_equal(
                batch.targets[row], padded(np.append(summary, 0), 99)
            )
            row += 1
    assert row == len(batch.source)


def test_hidden_bytes_are_asked_for():
    task = tasks.make(f"masked_text(length=64,path={SOURCE})")
    batch = drawn(task, jax.random.key(0), "train", 512)
    asked = batch.weights > 0
    assert np.all(asked.sum(axis=1) == round(0.15 * 64))
    np.testing.assert_array_equal(batch.inputs[~asked], batch.targets[~asked])
    share = np.mean(batch.inputs[asked] == 256)
    assert abs(share - 0.8) < 4 * np.sqrt(0.16 / asked.sum())
    kept = np.mean(batch.inputs[asked] == batch.targets[asked])
    assert 0.08 < kept < 0.13


def test_the_texts_of_a_data_set_are_modelled_each_once():
    task = tasks.make("text(data=xquad,feature=context,length=30)")
    arrays = task.arrays()
    columns = packed.load("xquad")
    for number, split in enumerate(SPLITS):
        low, high = arrays["text"].offsets_N[number : number + 2]
        wanted = dict.fromkeys(map(bytes, columns[split]["context"]))
        assert arrays["text"].values_L[low:high].tobytes() == b"\0".join(wanted)
    with pytest.raises(BadInput, match="The feature start of xquad must be text"):
        replace(task, feature="start").arrays()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("text(data=gap,feature=pronouns)", "must have pronouns"),
        ("text(data=reviews)", "reviews is neither in the catalogue nor packed in"),
        ("pronouns(data=movie_reviews)", "must have pronoun"),
        ("classification(data=mnist_t10k)", "has image, label; it must have text"),
        ("classification(data=tico19)", "must have classes in its feature label"),
        ("audio_classification(data=gap)", "must have audio"),
        ("summarisation(data=gap)", "must have transcript"),
        ("image_classification(form=patches,patch=5)", "it must divide the sides"),
        ("image_classification(data=movie_reviews)", "must have images of one size"),
        ("forecasting(context=400)", "they must be shorter for the splits of etth1"),
        ("question_answering(language=fr)", "Unknown language 'fr'"),
        (
            "question_answering(length=9)",
            "it must be larger for the train split of xquad",
        ),
        ("classification(data=movie_review)", "did you mean 'movie_reviews'"),
        ("classification(data=sentence_polarity)", "prepare it with: python scripts"),
    ],
)
def test_a_set_that_does_not_fit_is_one_sentence(spec, words):
    with pytest.raises(BadInput) as caught:
        task = tasks.make(spec)
        assert task.spec
        task.arrays()
    assert words in str(caught.value) and "\n" not in str(caught.value)
