"""The laws of attn_research, asked of the mixer and of the task."""

import pytest

from attn_research import plugins, testing

plugins.load(["my_mixer.plugin"])


@pytest.mark.parametrize("law", testing.mixer_laws())
def test_the_mixer_keeps_the_law(law):
    testing.check_mixer("ema", law)


@pytest.mark.parametrize("law", testing.task_laws())
def test_the_task_keeps_the_law(law):
    testing.check_task("first_token(length=12)", law)
