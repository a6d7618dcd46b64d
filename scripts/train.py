"""The same as `attn-research train`: see attn_research/commands/train.py."""

from attn_research.commands import script

if __name__ == "__main__":
    script("train")
