# Every target builds .venv from constraints.txt first, when it is missing or older than what it is built from.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
BIN := .venv/bin
READY := .venv/.ready
LOWEST := .venv-lowest
LOWEST_TRAIN := .venv-lowest-train
BASE_TESTS := package bundle modelfile cli_data predict drawn crop labels session audit
TRAIN_TESTS := train export compare models config labelnoise calibration metrics statistics judge report report_latex report_methods

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-ray test-browser test-lowest test-lowest-train check fix docs bench bench-train clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do printf '%-12s %s\n' "$$name" "$$text"; done

demo: $(READY)  ## the paper's experiment on drawn faces: prints its table and where the report is
	$(BIN)/mien compare demo --runs demo/runs --out demo/report

test: $(READY)  ## the tests that a change must pass
	$(BIN)/pytest -n auto --dist loadfile

test-long: $(READY)  ## those that take more than half a minute each
	$(BIN)/pytest -m long

test-ray: $(READY)  ## two nodes of a Ray cluster on this machine: runs, a worker and a node are killed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[ray]'
	$(BIN)/pytest -m "long or not long" tests/test_ray.py

test-browser: $(READY)  ## the page in a real browser: Debian's Chromium, with the server and without
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[browser]'
	test -n "$(CHROMIUM)" || command -v chromium >/dev/null || apt-get install -y chromium
	CHROMIUM=$(CHROMIUM) $(BIN)/pytest -m browser tests/test_browser.py
	$(BIN)/pytest tests/test_server_schema.py

test-lowest: $(LOWEST)/.ready  ## those of the base install, without torch, on the lowest versions that are allowed
	$(LOWEST)/bin/python -m pytest -o filterwarnings=default $(BASE_TESTS:%=tests/test_%.py)

test-lowest-train: $(LOWEST_TRAIN)/.ready  ## those of training and reports, on the lowest versions but for torch
	$(LOWEST_TRAIN)/bin/python -m pytest -o filterwarnings=default $(TRAIN_TESTS:%=tests/test_%.py)

check: $(READY)  ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest tests/test_architecture.py

fix: $(READY)  ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)  ## the documentation as a site, in build/site; it needs no network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir build/site

bench: $(READY)  ## Markdown tables of speed and memory; DATA=STORE adds accuracy, BENCH=--quick tries it in minutes
	$(BIN)/python benchmarks/training.py $(BENCH)
	$(BIN)/python benchmarks/loop.py $(BENCH)
	$(BIN)/python benchmarks/memory.py $(BENCH)
	$(BIN)/python benchmarks/family.py $(BENCH)
	$(BIN)/python benchmarks/shapes.py $(BENCH)
	$(BIN)/python benchmarks/prediction.py $(addprefix src/mien/weights/,default.onnx small.onnx ferplus.onnx) $(if $(DATA),--data $(DATA)) $(BENCH)
	$(BIN)/python benchmarks/first_use.py $(BENCH)
	$(BIN)/python benchmarks/growth.py $(BENCH)
	$(BIN)/python benchmarks/rows.py $(BENCH)
	$(BIN)/python benchmarks/large.py $(BENCH)
	$(BIN)/python benchmarks/large.py --steady --gigabytes 10 $(BENCH)

bench-train: $(READY)  ## time to accuracy, in hours: make bench-train DATA=STORE
	@test -n "$(DATA)" || { echo "make: bench-train needs a store of FER2013: make bench-train DATA=STORE" >&2; exit 1; }
	$(BIN)/python benchmarks/accuracy.py --data $(DATA) $(BENCH)

clean:  ## remove what make has made; stores and runs elsewhere stay
	rm -rf .venv $(LOWEST) $(LOWEST_TRAIN) build dist demo .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: no python3 found; mien needs Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: $(PYTHON) is older than Python 3.11; give one with make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[dev]'
	@touch $(READY)

$(LOWEST)/.ready: constraints-lowest.txt pyproject.toml
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet -c constraints-lowest.txt -e . hypothesis onnx pytest
	@touch $(LOWEST)/.ready

$(LOWEST_TRAIN)/.ready: constraints-lowest.txt pyproject.toml
	$(PYTHON) -m venv $(LOWEST_TRAIN)
	$(LOWEST_TRAIN)/bin/python -m pip install --quiet -c constraints-lowest.txt -e '.[train]' hypothesis pytest
	@touch $(LOWEST_TRAIN)/.ready
