"""The same as `attn-research track`: see attn_research/commands/track.py."""

from attn_research.commands import script

if __name__ == "__main__":
    script("track")
