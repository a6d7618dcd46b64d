"""Prepares data sets from raw files: verified, archived by TFDS, packed into arrays.

    python scripts/prepare_data.py gap wikitext2 --raw_dir=downloads --data_dir=data
    python scripts/prepare_data.py all --raw_dir=downloads
    python scripts/prepare_data.py --list

Nothing is downloaded: the table of --list says where the files come from, and each data
set looks for them in a folder of its own below --raw_dir. A data set that TFDS has
prepared in --data_dir (imdb_reviews, cifar10, wmt14_translate/de-en) is packed. What is
prepared already is verified and left alone.
"""

import sys
from pathlib import Path

from absl import flags

from attn_research.flags import BAD_INPUT, DONE, FLAGS, main
from attn_research.options import BadInput

flags.DEFINE_string("raw_dir", None, "Directory that holds the folders of raw files.")
flags.DEFINE_string(
    "data_dir",
    None,
    "Directory of prepared data sets; else $ATTN_RESEARCH_DATA, or "
    "~/.cache/attn_research/data.",
)
flags.DEFINE_bool("list", False, "Shows every data set; prepares none.")


def run(*given: str) -> int:
    from attn_research.tasks.data import display, packed, prepare

    where = packed.data_dir(FLAGS.data_dir)
    if FLAGS.list:
        display.table(where)
        return DONE
    if not given:
        raise BadInput("No data set is named; give names of --list, or all")
    raw_dir = Path(FLAGS.raw_dir).expanduser() if FLAGS.raw_dir else None
    names, failed = prepare.names(given, where), 0
    for name in names:
        try:
            with display.Bar(name) as bar:
                made = prepare.prepare(name, raw_dir, where, bar)
        except BadInput as error:
            if len(names) == 1:
                raise
            failed += 1
            print(f"Error: {error}", file=sys.stderr)
            continue
        verb = "prepared" if made else "already prepared, every byte verified"
        print(f"{name}: {verb} in {where}: {display.result(name, where)}.")
    return BAD_INPUT if failed else DONE


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__, takes="names of data sets", many=True)
