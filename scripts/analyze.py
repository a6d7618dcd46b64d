"""The same as `attn-research analyze`: see attn_research/commands/analyze.py."""

from attn_research.commands import script

if __name__ == "__main__":
    script("analyze")
