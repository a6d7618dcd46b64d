"""The same as `attn-research prepare`: see attn_research/commands/prepare.py."""

from attn_research.commands import script

if __name__ == "__main__":
    script("prepare")
