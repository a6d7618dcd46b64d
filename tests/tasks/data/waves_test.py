"""A folder of a user's recordings: as written, and every way in which it can be bad."""

import struct
import wave

import jax
import numpy as np
import pytest

from attn_research import tasks
from attn_research.options import BadInput
from attn_research.tasks import SPLITS
from attn_research.tasks.data import waves

RATE = 8000
DRAW = np.random.default_rng(0)


def store(path, samples_LC, width=2, rate=RATE):
    """Writes whole numbers of `width` bytes as a wave."""
    samples_LC = np.asarray(samples_LC)
    if samples_LC.ndim == 1:
        samples_LC = samples_LC[:, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((samples_LC.shape[1], width, rate, 0, "NONE", ""))
        offset = 128 if width == 1 else 0
        file.writeframes(
            b"".join(
                int(number + offset).to_bytes(width, "little", signed=width > 1)
                for number in samples_LC.ravel()
            )
        )


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_those_that_were_recorded(width, channels, tmp_path):
    high = 2 ** (8 * width - 1)
    samples_LC = DRAW.integers(-high, high, (300, channels))
    samples_LC[:2] = [[-high], [high - 1]]
    store(tmp_path / "a.wav", samples_LC, width)
    found = waves.read(tmp_path / "a.wav", RATE)
    assert found.dtype == np.int16
    exact = (samples_LC * 2.0 ** (16 - 8 * width)).mean(axis=1)
    np.testing.assert_allclose(found, exact, atol=1.5 if width > 2 else 0.5)
    if (width, channels) == (2, 1):
        np.testing.assert_array_equal(found, samples_LC[:, 0])


@pytest.fixture
def folder(tmp_path):
    """Thirty recordings, none like another, of three words."""
    for number in range(30):
        wave_L = np.full(200 + number, number * 100 + 1)
        store(tmp_path / ("yes", "no", "ça va")[number % 3] / f"{number}.WAV", wave_L)
    (tmp_path / "readme.txt").write_text("mine")
    (tmp_path / "no" / "notes.txt").write_text("mine")
    return tmp_path


def recordings(task):
    """(number, label, split) of every example, read off its samples."""
    arrays = task.arrays()
    draw = jax.jit(task.examples)
    found = []
    for number, split in enumerate(SPLITS):
        count = int(task.count(split, arrays))
        batch = draw(np.arange(30) % count, number, arrays)
        batch = jax.tree.map(lambda leaf, n=count: np.asarray(leaf)[:n], batch)
        level = np.rint(batch.inputs[:, 0, 0] / 10 * 2**15).astype(int)
        size = batch.segments.sum(axis=1)
        for row, tone in enumerate((level - 1) // 100):
            assert size[row] == 200 + tone
            found.append((int(tone), int(batch.targets[row]), split))
    return found


def test_every_recording_is_in_one_split_under_its_class(folder):
    task = tasks.make(f'audio_classification(path="{folder}",samples=240)')
    found = recordings(task)
    names = waves.names(str(folder))
    assert names == ("no", "yes", "ça va") and task.spec.outputs == 3
    assert sorted(number for number, _, _ in found) == list(range(30))
    for number, label, _ in found:
        assert names[label] == ("yes", "no", "ça va")[number % 3]
    counts = [sum(split == s for _, _, split in found) for s in SPLITS]
    assert sum(counts) == 30 and counts[0] >= 15 and min(counts) >= 2
    again = recordings(tasks.make(f'audio_classification(path="{folder}",samples=240)'))
    assert again == found


def test_a_table_may_name_classes_and_splits(folder):
    rows = ["file,label,split", *(
        f"{('yes', 'no', 'ça va')[n % 3]}/{n}.WAV,{'odd' if n % 2 else 'even'},"
        f"{SPLITS[n // 10]}"
        for n in range(29)
    )]  # fmt: skip
    (folder / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    task = tasks.make(f'audio_classification(path="{folder}",samples=240)')
    wanted = [(n, n % 2, SPLITS[n // 10]) for n in range(29)]
    assert sorted(recordings(task)) == wanted
    strings = tasks.make(f'spoken_strings(path="{folder}",samples=800,words=2)')
    assert strings.spec.names == ("even", "odd")
    draw = jax.jit(lambda arrays: strings.batch(jax.random.key(0), "test", 8, arrays))
    batch = draw(strings.arrays())
    assert set(np.asarray(batch.targets).ravel().tolist()) <= {0, 1, 2}


def spoil(folder, how):
    """A folder that cannot be read, and the path to give."""
    victim = folder / "yes" / "0.WAV"
    match how:
        case "rate":
            store(victim, np.zeros(100), rate=16000)
        case "short":
            victim.write_bytes(victim.read_bytes()[:-7])
        case "head":
            victim.write_bytes(victim.read_bytes()[:20])
        case "noise":
            victim.write_bytes(b"no wave at all, of no length")
        case "float":
            data = bytearray(victim.read_bytes())
            data[20] = 3
            victim.write_bytes(data)
        case "silent":
            store(victim, np.zeros((0, 1)))
        case "empty":
            return folder / "empty"
        case "file":
            return folder / "readme.txt"
        case "few":
            for number in range(3):
                store(folder / "few" / "ab"[number % 2] / f"{number}.wav", [1, 2])
            return folder / "few"
        case "one":
            for number in range(12):
                store(folder / "single" / "a" / f"{number}.wav", [1, 2])
            return folder / "single"
        case _:
            (folder / "labels.csv").write_text(how)
    return folder


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("rate", "yes/0.WAV has 16,000 samples a second; it must be 8,000"),
        ("short", "yes/0.WAV is damaged: its header says 200 samples, it has 196"),
        ("head", "yes/0.WAV cannot be read as a wave (it ends too early)"),
        ("noise", "it must be PCM of 8 to 32 bits"),
        ("float", "cannot be read as a wave (unknown format: 3)"),
        ("silent", "its header says 0 samples"),
        ("empty", "has no recordings; they must be LABEL/NAME.wav, or"),
        ("file", "must be a directory of .wav files"),
        ("few", "has 3 files, too few for a validation split of two classes"),
        ("one", "are of the class a; the classes must be at least two"),
        ("name,class\na,b", "has the columns name, class; they must be file, label"),
        ("", "has the columns none"),
        ("file,label\nyes/0.WAV,a\nyes/0.WAV,b", "line 3 must name a file, not named"),
        ("file,label,split\nyes/0.WAV,a,dev", "Unknown split in"),
        ("file,label\nyes/0.WAV,a\n" + "\n".join(f"{n}.wav,b" for n in range(20)),
         ".wav cannot be read: No such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_sentence(how, words, folder):
    (folder / "empty").mkdir()
    path = spoil(folder, how)
    with pytest.raises(BadInput) as caught:
        tasks.make(f'audio_classification(path="{path}")').arrays()
    assert words in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="must be a directory of .wav files"):
        assert tasks.make(f'audio_classification(path="{folder}/none")').spec


def test_the_extensible_header_of_pcm_is_read_on_every_python(tmp_path):
    """As ffmpeg writes samples of 24 bits; Python 3.11 alone does not know it."""
    samples = np.arange(-400, 400, dtype=np.int32) * 20_000
    data = b"".join(int(n).to_bytes(3, "little", signed=True) for n in samples)
    guid = bytes.fromhex("0100000000001000800000aa00389b71")
    plain = struct.pack("<HHIIHH", 1, 1, 8000, 24000, 3, 24)
    extensible = struct.pack("<HHIIHH", 0xFFFE, 1, 8000, 24000, 3, 24)
    extensible += struct.pack("<HHI", 22, 24, 4) + guid
    read = []
    for name, head in (("plain", plain), ("extensible", extensible)):
        body = b"WAVEfmt " + struct.pack("<I", len(head)) + head
        body += b"data" + struct.pack("<I", len(data)) + data
        file = tmp_path / f"{name}.wav"
        file.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
        read.append(waves.read(file, 8000))
    np.testing.assert_array_equal(*read)
    np.testing.assert_array_equal(read[0], samples >> 8)


def test_leftovers_and_blanks_are_no_recordings_and_no_labels(folder):
    """What macOS and spreadsheets leave in a folder."""
    rows, names = waves.listed(str(folder)), waves.names(str(folder))
    left = (folder / rows[0].file).with_name("._left.wav")
    left.write_bytes(b"\0\5\x16\7Mac OS X")
    assert waves.listed(str(folder)) == rows
    lines = [f" {row.file},{row.label} " for row in rows]
    (folder / "labels.csv").write_text("\n".join(["file,label", *lines]) + "\n")
    assert waves.names(str(folder)) == names


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_table_in_an_encoding_with_its_mark_is_read(encoding, folder):
    rows = waves.listed(str(folder))
    lines = ["file,label", *(f"{row.file},{row.label}" for row in rows)]
    (folder / "labels.csv").write_bytes("\n".join(lines).encode(encoding))
    assert waves.listed(str(folder)) == rows


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"file,label\na.wav,x\n\0.wav,y\n", "line 3 holds a NUL; it must be text"),
        (b"file,label\na.wav," + b"x" * 200_000, "line 2 cannot be read (field larger"),
        (b"file,label\na.wav," + b"x" * 9000, "has a value of 9,000 signs; it must be"),
        ("file,label\na.wav,é".encode("latin-1"), "it must be UTF-8"),
        (b"file,label\na.wav,x\nb.wav,\x01\n", "it must be printable text"),
        (b"file,label\n" + b"a" * 4000 + b".wav,x\nb.wav,y\n", "cannot be read: File"),
    ],
)
def test_a_damaged_table_is_one_sentence(content, words, folder):
    (folder / "labels.csv").write_bytes(content)
    with pytest.raises(BadInput) as caught:
        tasks.make(f'audio_classification(path="{folder}")').arrays()
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        'text(path="")', 'code(path="")', 'masked_text(path="")', 'text(path=" ")',
        "text(path=~no-such-user/x)", "code(path=~no-such-user)",
        "audio_classification(path=~no-such-user/x)",
        "spoken_strings(path=~no-such-user/x)",
        "classification(data_dir=~no-such-user/x)", 'audio_classification(path=" ")',
    ],
)  # fmt: skip
def test_a_path_that_cannot_be_one_is_refused(spec):
    """An empty one would be the working directory."""
    with pytest.raises(BadInput) as caught:
        tasks.make(spec).arrays()
    assert "must be a" in str(caught.value) and "\n" not in str(caught.value)


def test_copies_in_several_splits_and_parts_of_one_class_are_told(folder, tmp_path):
    for number in range(30):
        store(folder / "again" / ("yes", "no")[number % 2] / f"{number}.wav",
              np.full(200, number % 2))  # fmt: skip
    task = tasks.make(f'audio_classification(path="{folder / "again"}",samples=200)')
    notes = task.notes(task.arrays())
    assert sum("are copies of some of train" in note for note in notes) == 2
    rows = [
        f"{('yes', 'no', 'ça va')[n % 3]}/{n}.WAV,{'b' if 9 < n < 20 else 'ab'[n % 2]},"
        f"{SPLITS[n // 10]}"
        for n in range(29)
    ]
    (folder / "labels.csv").write_text("\n".join(["file,label,split", *rows]))
    task = tasks.make(f'audio_classification(path="{folder}",samples=240)')
    (note,) = [n for n in task.notes(task.arrays()) if "one class" in n]
    assert note.startswith("All 10 examples of validation are of one class")
