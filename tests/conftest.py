"""Every test runs strictly: no silent promotion, two devices, warnings as errors."""

import gc
import hashlib
import os
import pathlib
import re
import shutil
import tempfile
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
)
# What one test has compiled, the next one, its processes and other workers load.
CACHE = "JAX_COMPILATION_CACHE_DIR"
OWNER = CACHE not in os.environ
if OWNER:
    os.environ[CACHE] = tempfile.mkdtemp(prefix="compiled-")

import jax  # noqa: E402
import pytest  # noqa: E402

# Tracing makes millions of small objects that last: looking through them costs a
# thirtieth of the time.
gc.set_threshold(100_000, 20, 50)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


BEGAN = time.monotonic()


def pytest_addoption(parser):
    parser.addoption(
        "--slice", metavar="WORD", help="begin at a place that this word chooses"
    )
    parser.addoption(
        "--budget", type=float, metavar="SECONDS", help="skip what begins later"
    )


def pytest_runtest_setup(item):
    budget = item.config.option.budget
    if budget is None:
        return
    if item.get_closest_marker("faults"):  # one of these takes up to a quarter hour
        budget /= 3
    if time.monotonic() - BEGAN > budget:
        pytest.skip("the time of this slice is spent")


def pytest_terminal_summary(terminalreporter, config):
    """Says which slice of the tests has run, so that it can be run again."""
    if config.option.slice is None:
        return
    ran = dict.fromkeys(
        _group(report.nodeid)
        for outcome in ("passed", "failed", "error")
        for report in terminalreporter.stats.get(outcome, ())
    )
    terminalreporter.section("slice")
    terminalreporter.line(f"{config.option.slice}: {len(ran)} groups of tests ran:")
    for group in sorted(ran):
        terminalreporter.line(f"  {group}")


def pytest_configure(config):
    """Compiles quickly unless the slow tests run, which compile as users do.

    Tests compile some thousand programs and run each for a moment: without the
    optimiser of machine code, in one piece (both cores are at work already), and
    without XLA's newer writer of loops where there is an older one, the same
    mathematics compiles in a third of the time.
    """
    if "not slow" in config.option.markexpr:
        older = jax.__version_info__ < (0, 11)
        os.environ["XLA_FLAGS"] += (
            " --xla_backend_optimization_level=0"
            " --xla_cpu_parallel_codegen_split_count=1"
            + (" --xla_cpu_use_fusion_emitters=false" if older else "")
        )


def pytest_unconfigure():
    if OWNER:
        shutil.rmtree(os.environ[CACHE], ignore_errors=True)


# These take longest: begun last, one worker would wait for the other.
FIRST = ("tests/train_test.py", "tests/faults/training_test.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """What takes longest is first; a slice begins at the group that its word names."""
    word = config.option.slice
    if word is None:
        items.sort(key=lambda item: not item.nodeid.startswith(FIRST))
        return
    # In the order of their digests, so that a slice has tests of every kind; within a
    # group too, so that the end of a long one has its turn.
    begin = _digest(word)

    def place(name: str) -> tuple[bool, str]:
        return _digest(name) < begin, _digest(name)

    items.sort(key=lambda item: (*place(_group(item.nodeid)), *place(item.nodeid)))


def _digest(word: str) -> str:
    return hashlib.blake2b(word.encode(), digest_size=8).hexdigest()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests that share compiled programs run in one worker.

    xdist's own groups do without a word where pytest is newer than it knows: there each
    test may run anywhere, and every worker compiles everything.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return _group(nodeid)

    return Grouped(config, log)


def _group(nodeid: str) -> str:
    """The laws of one mixer are a group, and elsewhere all tests of a file."""
    file, _, test = nodeid.partition("::")
    law = re.fullmatch(r"test_law\[\w+-(.+-(causal|both))\]", test)
    return law[1] if law else file


# A process may hold 65,530 memory maps, and a compiled program is a few: at the limit
# the next compilation is a segmentation fault.
MAPS = 35_000


def pytest_runtest_teardown(item, nextitem):
    """Lets go of compiled programs between groups, before there are too many."""
    if nextitem is None or _group(nextitem.nodeid) == _group(item.nodeid):
        return
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and len(maps.read_bytes().splitlines()) > MAPS:
        jax.clear_caches()


@pytest.fixture(scope="session")
def data_sets(tmp_path_factory):
    """A directory of made-up data sets, in which the tasks of one look for theirs."""
    from attn_research.tasks.data.packed import VARIABLE
    from tests.tasks import mocks

    where = tmp_path_factory.mktemp("data_sets")
    mocks.prepare(where)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(where))
        yield where
