"""Train the embedded English parser: spaCy on UD English-EWT, taught to read bare noun phrases as well as sentences.

What is trained on is a pure function of the treebank and the seed: whole sentences and the fragments of
`treebank_augmentation`, in random disguises (lower case, no punctuation, "the" in front). No referring expression is
read.
"""

import argparse
import json
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from pathlib import Path

import spacy
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import Adam, Config, Optimizer

from assets.pretraining.treebank import ROOT, Tree, fragments, read_conllu
from assets.pretraining.treebank_augmentation import disguise, training_stream

STEPS_PER_MINUTE = 200
"""Optimiser steps of one core in a minute: `minutes` fixes a number of steps, so that a seed fixes the result."""

BATCH_WORDS = 700
PEAK_RATE = 2e-3
WARM_UP = 200

TREEBANK_URL = "https://github.com/UniversalDependencies/UD_English-EWT"
COMMAND = "python -m assets.pretraining.parser --out resources/embedded/parser --treebank UD_English-EWT"

CONFIG = """
[nlp]
lang = "en"
pipeline = ["tok2vec", "tagger", "morphologizer", "parser", "trainable_lemmatizer"]

[components]

[components.tok2vec]
factory = "tok2vec"

[components.tok2vec.model]
@architectures = "spacy.Tok2Vec.v2"

[components.tok2vec.model.embed]
@architectures = "spacy.MultiHashEmbed.v2"
width = 96
attrs = ["NORM", "PREFIX", "SUFFIX", "SHAPE"]
rows = [5000, 1000, 2500, 500]
include_static_vectors = false

[components.tok2vec.model.encode]
@architectures = "spacy.MaxoutWindowEncoder.v2"
width = 96
depth = 4
window_size = 1
maxout_pieces = 3

[components.tagger]
factory = "tagger"

[components.tagger.model]
@architectures = "spacy.Tagger.v2"

[components.tagger.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 96

[components.morphologizer]
factory = "morphologizer"

[components.morphologizer.model]
@architectures = "spacy.Tagger.v2"

[components.morphologizer.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 96

[components.parser]
factory = "parser"

[components.parser.model]
@architectures = "spacy.TransitionBasedParser.v2"
state_type = "parser"
extra_state_tokens = false
hidden_width = 64
maxout_pieces = 2
use_upper = true

[components.parser.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 96

[components.trainable_lemmatizer]
factory = "trainable_lemmatizer"
min_tree_freq = 5
top_k = 1

[components.trainable_lemmatizer.model]
@architectures = "spacy.Tagger.v2"

[components.trainable_lemmatizer.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 96
"""


def example(nlp: spacy.Language, tree: Tree) -> Example:
    """A tree as spaCy learns from it: one text, one sentence, the root labelled `ROOT`."""
    words, spaces = [word.form for word in tree], [word.space_after for word in tree]
    gold = Doc(
        nlp.vocab,
        words=words,
        spaces=spaces,
        tags=[word.xpos for word in tree],
        pos=[word.upos for word in tree],
        morphs=[word.feats for word in tree],
        lemmas=[word.lemma for word in tree],
        heads=[index if word.head == ROOT else word.head for index, word in enumerate(tree)],
        deps=["ROOT" if word.head == ROOT else word.label for word in tree],
    )
    return Example(Doc(nlp.vocab, words=words, spaces=spaces), gold)


def batches(stream: Iterable[Tree], *, words: int) -> Iterator[list[Tree]]:
    """Consecutive trees of about `words` words together."""
    batch: list[Tree] = []
    size = 0
    for tree in stream:
        batch.append(tree)
        size += len(tree)
        if size >= words:
            yield batch
            batch, size = [], 0


def rate(step: int, steps: int) -> float:
    """Learning rate: a linear rise over `WARM_UP` steps, then a linear fall to zero."""
    return PEAK_RATE * min((step + 1) / WARM_UP, (steps - step) / max(1, steps - WARM_UP))


def score(nlp: spacy.Language, trees: Sequence[Tree]) -> dict[str, float]:
    """Tag, UPOS and lemma accuracy, UAS and LAS on raw text, and how often the root of a gold noun phrase is found."""
    found = nlp.evaluate([example(nlp, tree) for tree in trees])
    rng = random.Random(0)  # noqa: S311
    gold = [
        disguise(phrase, rng, article=0.5, marks=1, capitals=1, the=1, typos=0)
        for tree in trees
        for phrase in fragments(tree)
        if len(phrase) > 2
    ]
    docs = nlp.pipe([Doc(nlp.vocab, words=[word.form for word in phrase]) for phrase in gold])
    roots = [
        {token.i for token in doc if token.dep_ == "ROOT"} == {i for i, word in enumerate(phrase) if word.head == ROOT}
        for doc, phrase in zip(docs, gold, strict=True)
    ]
    names = {"tag": "tag_acc", "upos": "pos_acc", "lemma": "lemma_acc", "uas": "dep_uas", "las": "dep_las"}
    scores = {name: round(float(found[key]), 4) for name, key in names.items()}
    return scores | {"phrase_root": round(sum(roots) / len(roots), 4)}


def forget_strings(folder: Path, needed: AbstractSet[str]) -> None:
    """Drop from a saved pipeline the words that only training has seen, misspelt ones above all."""
    path = folder / "vocab/strings.json"
    kept = [string for string in json.loads(path.read_text(encoding="utf-8")) if string in needed]
    path.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")


def _folder_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def fit(
    nlp: spacy.Language, trees: Sequence[Tree], *, steps: int, seed: int, report: Callable[[int], None]
) -> Optimizer:
    """Train the initialised components for `steps` steps; the optimiser that is returned holds the averaged weights."""
    optimiser = Adam(PEAK_RATE, L2=0.01, grad_clip=1.0, L2_is_weight_decay=True, use_averages=True)
    stream = batches(training_stream(trees, seed=seed), words=BATCH_WORDS)
    for step in range(steps):
        optimiser.learn_rate = rate(step, steps)
        nlp.update([example(nlp, tree) for tree in next(stream)], sgd=optimiser, drop=0.1)
        report(step + 1)
    return optimiser


def train(
    out: Path,
    *,
    minutes: float,
    seed: int = 0,
    log: Callable[[str], None],
    treebank: Path,
) -> dict[str, float]:
    """Train on the train file of a treebank, score on its dev file, write the model and its card to `out`.

    Args:
        out: folder to write; `spacy.load` reads it.
        minutes: length of the training in minutes of one core (`STEPS_PER_MINUTE` each).
        seed: of the first weights, the dropout and the order and disguises of the data.
        log: takes one line of progress at a time.
        treebank: folder with `*train.conllu.gz` and `*dev.conllu.gz`.

    Returns:
        The scores on the development file.
    """
    started = time.monotonic()
    fix_random_seed(seed)
    training, development = (
        list(read_conllu(next(iter(treebank.glob(f"*{part}.conllu*"))))) for part in ("train", "dev")
    )
    nlp = spacy.util.load_model_from_config(Config().from_str(CONFIG), auto_fill=True)
    steps = round(minutes * STEPS_PER_MINUTE)

    def report(step: int) -> None:
        if step % 500 == 0:
            log(f"step {step} of {steps}, {time.monotonic() - started:.0f} s, {score(nlp, development[:300])}")

    nlp.meta |= {
        "name": "wordmask_parser",
        "description": "English parser, trained on UD English-EWT and on noun phrases cut from its trees",
        "license": "CC BY-SA 4.0",
        "sources": [{"name": "UD_English-EWT", "license": "CC BY-SA 4.0", "url": TREEBANK_URL}],
    }
    nlp.initialize(lambda: [example(nlp, tree) for tree in training])
    needed = set(nlp.vocab.strings)
    optimiser = fit(nlp, training, steps=steps, seed=seed, report=report)
    with nlp.use_params(optimiser.averages):
        scores = score(nlp, development)
        nlp.to_disk(out)
    forget_strings(out, needed)
    seconds = time.monotonic() - started
    card = {
        "architecture": f"spaCy {spacy.__version__} pipeline of {', '.join(nlp.pipe_names)}; sizes in config.cfg",
        "data": "UD_English-EWT train (CC BY-SA 4.0) and noun-phrase fragments of its trees; scores on its dev file",
        "source": TREEBANK_URL,
        "licence": "CC BY-SA 4.0 (trained on UD English-EWT)",
        "command": f"{COMMAND} --minutes {minutes:g} --seed {seed}",
        "date": date.today().isoformat(),
        "seconds": round(seconds),
        "steps": steps,
        "sentences": len(training),
        "scores": scores,
        "bytes": _folder_size(out),
    }
    (out / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    log(f"{seconds:.0f} s, {_folder_size(out) / 1e6:.2f} MB, {scores}")
    return scores


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--treebank", type=Path, required=True)
    options.add_argument("--minutes", type=float, default=12)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(
        chosen.out,
        minutes=chosen.minutes,
        seed=chosen.seed,
        log=logging.getLogger("parser").info,
        treebank=chosen.treebank,
    )
