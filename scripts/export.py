"""The same as `attn-research export`: see attn_research/commands/export.py."""

from attn_research.commands import script

if __name__ == "__main__":
    script("export")
