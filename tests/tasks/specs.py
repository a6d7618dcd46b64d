"""Tasks as tests name them: a small one of each, and the hashes of their batches."""

import dataclasses
from pathlib import Path

import rich

from attn_research.tasks import TASKS

# Source code of little size that does not change with ours, at a locked version.
SOURCE = Path(rich.__file__).parent
SMALL = {
    "recall": "recall(length=32,pairs=4)",
    "mqar": "mqar(length=32,pairs=4,vocabulary=64)",
    "noisy_recall": "noisy_recall(length=32,pairs=4)",
    "fuzzy_recall": "fuzzy_recall(length=32,pairs=2)",
    "multi_hop_recall": "multi_hop_recall(length=32,chains=3)",
    "mad_recall": "mad_recall(length=16)",
    "mad_noisy_recall": "mad_noisy_recall(length=16)",
    "mad_fuzzy_recall": "mad_fuzzy_recall(length=24)",
    "mad_selective_copying": "mad_selective_copying(length=24,count=4)",
    "mad_compression": "mad_compression(length=8)",
    "mad_memorization": "mad_memorization(length=16)",
    "copying": "copying(lag=9,count=4)",
    "selective_copying": "selective_copying(length=32,count=4)",
    "adding": "adding(length=16)",
    "temporal_order": "temporal_order(length=20)",
    "induction": "induction(length=24,triggers=3)",
    "ngram": "ngram(length=16)",
    "in_context_ngram": "in_context_ngram(length=16)",
    "text": f"text(length=32,path={SOURCE})",
    "masked_text": f"masked_text(length=32,path={SOURCE})",
    "code": f"code(length=64,path={SOURCE})",
    "classification": "classification(length=40)",
    "question_answering": "question_answering(length=90,language=all)",
    "pronouns": "pronouns(length=90)",
    "translation": "translation(source_length=40,length=30)",
    "summarisation": "summarisation(source_length=200,length=50)",
    "captioning": "captioning(frames=6,side=36)",
    "image_classification": "image_classification(form=patches)",
    "image_generation": "image_generation",
    "audio_classification": "audio_classification(samples=320)",
    "spoken_strings": "spoken_strings(samples=960,words=3)",
    "forecasting": "forecasting(context=24,horizon=8)",
    "parity": "parity(length=6,test_length=20)",
    "cycle_navigation": "cycle_navigation(length=6,test_length=20)",
    "group_word": "group_word(length=6,test_length=20,group=A4)",
    "modular_arithmetic": "modular_arithmetic(length=7,test_length=20)",
    "flip_flop": "flip_flop(length=8,test_length=20,ignore=0.4)",
    "dyck": "dyck(length=6,test_length=20)",
    "reverse": "reverse(length=6,test_length=20)",
    "bucket_sort": "bucket_sort(length=6,test_length=20)",
    "stack_manipulation": "stack_manipulation(length=6,test_length=20)",
    "listops": "listops(length=30,shortest=4,depth=4,examples=90,held_out=9)",
    "pathfinder": "pathfinder(dashes=5,distractors=1,examples=90,held_out=30)",
    "needle": "needle(length=160,filler=noise)",
    "variable_tracking": "variable_tracking(length=140)",
    "coreference": "coreference(length=38)",
}
# What is read from a disk or an installed package differs from machine to machine.
READ = {
    name
    for name, task in TASKS.items()
    if {"data", "path"} & {field.name for field in dataclasses.fields(task)}
}
# Of the batches of every generated task, four rows of two keys in every split.
HASHES = {
    "recall": "be4395d353423246",
    "recall(pairs=5,gap=4..30,overwrites=3)": "03578e0dd37f9fe5",
    "mqar": "99ddf0efee04b8bf",
    "noisy_recall": "45a264417098e0f0",
    "noisy_recall(gap=5..20,overwrites=2)": "7ad3cfa46d8f036e",
    "fuzzy_recall": "2324b5646970b19a",
    "multi_hop_recall": "28564aeb2388bc5b",
    "multi_hop_recall(order=forward)": "68215606b6e8d5a8",
    "mad_recall": "99365382e00d5b53",
    "mad_noisy_recall": "cc4afc4f7d377ad7",
    "mad_fuzzy_recall": "a7ff7ab87855e3c2",
    "mad_selective_copying": "7c7fecc09cba5507",
    "mad_compression": "5a1485ffb84292ad",
    "mad_memorization": "8b5683677dcddf77",
    "copying": "5b4dd63da4dea7e5",
    "selective_copying": "4e360d90940a60a4",
    "adding": "7cf8b47a676c225d",
    "adding(causal=false)": "af4f9dc3f619ee54",
    "temporal_order": "d175e9d8bd0b0bbd",
    "temporal_order(symbols=3,causal=false)": "027b07b4fce6c689",
    "induction": "378df192d52dcf92",
    "induction(gap=3..9)": "98db1ed4a4c74086",
    "ngram": "d7a64a71185c7a8e",
    "ngram(order=3)": "cfb3849c7e5473cb",
    "in_context_ngram": "1fbcdfea55584f14",
    "in_context_ngram(order=3,concentration=0.3)": "7cb604efdf719b59",
    "parity": "414142cf38dcd860",
    "cycle_navigation": "02a1a1e9b8174b7a",
    "group_word": "8bb53c2ed93ed9b5",
    "modular_arithmetic": "1c3fc571e4f2617d",
    "flip_flop": "0c81047111ceb32e",
    "dyck": "c9a26f0047c6ce5c",
    "reverse": "29de5c9b33bf7c39",
    "bucket_sort": "3d16d5b61c0bece5",
    "stack_manipulation": "7ec383bf5ed40b25",
    "listops(length=30,shortest=4,depth=4,examples=90,held_out=9)": "139112df1cf7becf",
    "pathfinder(dashes=5,distractors=1,examples=90,held_out=30)": "ca0d6fe3ec983aff",
    "needle(length=160,filler=noise)": "ab3cb2d4de99523b",
    "variable_tracking(length=140)": "46f7fc8c1957cf63",
    "coreference(length=38)": "320821ba7c077210",
    "coreference(length=38,cue=property,between=2)": "c21da734d6ca9bcc",
}
# Every task, and what options turn into a batch of another kind.
ALL = [
    *HASHES,
    *(SMALL[name] for name in SMALL if name in READ),
    "text(length=32,data=movie_reviews)",
    "masked_text(length=32,data=xquad,feature=context)",
    "classification(data=gap,length=90)",
    "spoken_strings(samples=1600,words=3,writes=true)",
    "audio_classification(samples=800,form=frames)",
    "parity(length=6,test_length=20,answers=last)",
    "modular_arithmetic(length=7,test_length=20,brackets=true)",
    "pathfinder(dashes=5,distractors=1,examples=90,held_out=30,inputs=tokens)",
    f"needle(length=200,distractors=1,depth=0.5,filler={SOURCE})",
]
