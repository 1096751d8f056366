# Every target sets up what it needs: python3 with venv, a Python 3.11 and a package index are enough.
PYTHON ?= python3
BIN := .venv/bin
PHOTOS = $(or $(NAME),$(notdir $(abspath $(FOLDER))))
export PYTHONPATH := $(CURDIR)
# Python keeps what it compiled, even where the environment forbids it: the tests start many processes.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo photo test pytest slow fuzz ui lint types bench results pictures lock clean

setup: .venv/.installed

.tools/bin/uv:
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check uv

.venv/.installed: requirements.lock pyproject.toml | .tools/bin/uv
	test -x $(BIN)/python || .tools/bin/uv venv --quiet --python 3.11 .venv
	.tools/bin/uv pip sync --quiet --python $(BIN)/python requirements.lock
	.tools/bin/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

demo: setup  ## run the main job on the embedded world
	$(BIN)/wordmask demo

photo: setup  ## masks of your own photographs: FOLDER=... with expressions.csv in it, NAME=...
	@test -n "$(FOLDER)" || { echo 'say which folder: make photo FOLDER=/path/to/photographs'; exit 2; }
	$(BIN)/wordmask models get --for photo
	$(BIN)/wordmask add "$(FOLDER)" --name "$(PHOTOS)" --experiment photo
	$(BIN)/wordmask run --dataset "$(PHOTOS)" --experiment photo
	$(BIN)/wordmask report --dataset "$(PHOTOS)" --experiment photo --open

ui: setup  ## open Dagster's pages on the loopback address
	$(BIN)/wordmask ui

test: lint  ## lint, then types beside tests
	$(MAKE) --no-print-directory --jobs 2 types pytest

pytest: setup  ## tests, a file at a time in each worker: one more than cores, since some wait for a browser or a kill
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(or $(WORKERS),$(shell echo $$(($$(nproc) > 3 ? 4 : $$(nproc) + 1)))) --dist loadfile --no-loadscope-reorder

slow: setup  ## what takes minutes or gigabytes: full-size models, long kill tests, properties over many examples
	$(BIN)/python -m pytest -m "slow or property" --hypothesis-profile thorough --timeout 3600

fuzz: setup  ## the readers' properties over new seeds; MINUTES=60
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),60)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

bench: setup  ## ratios, measured side by side in one run
	for script in tests/benchmarks/bench_*.py; do $(BIN)/python -m tests.benchmarks.$$(basename $$script .py) || exit 1; done

results: setup  ## the tables of RESULTS.md, over three seeds: days on two cores
	$(BIN)/wordmask results --style toyref --style toyref+ $(foreach table,1 2 3 4 5 6 11 12 13 14 15 16 21 22 23 24 25 26 27 28 29 30 ours ours_choice,--table $(table))

pictures: demo  ## the picture of README.md, from what the demo made
	$(BIN)/python -m pipelines.commands.picture toyref base docs/pictures/from_expression_to_mask.png

lock: .tools/bin/uv  ## write requirements.lock anew from pyproject.toml
	.tools/bin/uv pip compile pyproject.toml --quiet --extra dev --extra serve --extra onnx --extra postgres --extra remote --generate-hashes --no-emit-index-url \
	  --python-version 3.11 --output-file requirements.lock

clean:
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache build *.egg-info
