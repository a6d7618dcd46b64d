"""The same as `attn-research sweep`: see attn_research/commands/sweep.py."""

from attn_research.commands import script

if __name__ == "__main__":
    script("sweep")
