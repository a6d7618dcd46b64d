"""The same as `attn-research report`: see attn_research/commands/report.py."""

from attn_research.commands import script

if __name__ == "__main__":
    script("report")
