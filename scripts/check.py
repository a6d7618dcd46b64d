"""The same as `attn-research check`: see attn_research/commands/check.py."""

from attn_research.commands import script

if __name__ == "__main__":
    script("check")
