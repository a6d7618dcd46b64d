"""Made-up data sets for the tasks that read one."""

import pytest

from attn_research.tasks.data.packed import VARIABLE
from tests.tasks import mocks


@pytest.fixture(scope="session", autouse=True)
def data_sets(tmp_path_factory):
    """The directory of the data sets, which the tasks look for them in."""
    where = tmp_path_factory.mktemp("data_sets")
    mocks.prepare(where)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(where))
        yield where
