"""The same as `attn-research compile`: see attn_research/commands/compile.py."""

from attn_research.commands import script

if __name__ == "__main__":
    script("compile")
