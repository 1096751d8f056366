"""Noun extraction in batches against one sentence at a time: `python -m tests.benchmarks.bench_nouns [pairs.csv]`.

Both ways run side by side, chunk by chunk in turn, and processor time is what counts, so that a busy machine disturbs
neither.
"""

import csv
import statistics
import sys
import time
from functools import partial
from pathlib import Path

from ops.ssc.nouns import noun_phrases
from resources.models.spacy_parser import load_parser, parse_all
from tests.paths import SHARED

PAIRS = SHARED / "data/class_projection/expression_to_coco_class.csv"
CHUNK = 400


def main(pairs: Path) -> None:
    """Print the time of both ways, the ratio per chunk of `CHUNK` sentences, and how many results differ."""
    nlp = load_parser()
    with pairs.open(encoding="utf-8", newline="") as file:
        sentences = list(dict.fromkeys(row["sent"] for row in csv.DictReader(file)))
    parse = partial(parse_all, nlp)
    for rule in ("spacy", "nltk"):  # the fallback imports nltk when it is first needed
        noun_phrases(sentences[:50], parse, rule=rule)
    batched, single, ratios, differ = 0.0, 0.0, [], 0
    for start in range(0, len(sentences) - CHUNK + 1, CHUNK):
        chunk = sentences[start : start + CHUNK]
        begin = time.process_time()
        together = noun_phrases(chunk, parse)
        middle = time.process_time()
        apart = [noun_phrases([sentence], parse)[0] for sentence in chunk]
        end = time.process_time()
        batched, single = batched + middle - begin, single + end - middle
        ratios.append((end - middle) / (middle - begin))
        differ += sum(a != b for a, b in zip(together, apart, strict=True))
    count = len(ratios) * CHUNK
    sys.stdout.write(
        f"{count} sentences: batched {count / batched:.0f} per processor second, one at a time {count / single:.0f}, "
        f"ratio {single / batched:.2f} (median of chunks {statistics.median(ratios):.2f}), {differ} results differ\n"
    )


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    if chosen.is_file():
        main(chosen)
    else:
        sys.stdout.write(f"skipped: {chosen} is not there; name a CSV of expressions and their classes\n")
