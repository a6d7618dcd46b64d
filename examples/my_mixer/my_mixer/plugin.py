"""What attn_research reads: the names, and what they stand for."""

from my_mixer.mixer import Ema
from my_mixer.task import First

MIXERS = {"ema": Ema}
TASKS = {"first_token": First}
