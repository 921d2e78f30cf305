# Every target makes the environment it needs. `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first interpreter that is Python 3.11, 3.12 or 3.13 (override with `make PYTHON=...`): TensorFlow 2.21 has no
# wheel for 3.14.
SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(SUITABLE)' 2>/dev/null && command -v $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready
BOOK := $(BIN)/python $(BIN)/jupyter-book build . -W --keep-going -n -q
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TF_CPP_MIN_LOG_LEVEL ?= 3
NB ?=

.PHONY: help python install book pdf test quick unit nbval nbval-elsewhere lab notebooks scoreboard explorer decoder bench versions lighthouse links pins check data repository clean
.PHONY: course student solutions labs grade grade-check decks quizzes exam svg

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# uv only speeds the installation up; `pip install -r requirements.txt -e .` does the same. Like pip it compiles what it
# installs: where Python may not write, each process would compile TensorFlow anew, and start in 21 s instead of 6.
$(READY): requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found: install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c '$(SUITABLE)' || { echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13: name one: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Creating .venv with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv .venv || { echo "Could not create .venv; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet uv==0.13.8
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

# pip, not uv: it also takes a wheel that the machine's pip configuration offers, such as PyTorch's for the CPU alone.
.venv-peers/.ready: benchmarks/peers/requirements.txt | $(READY)
	@echo "Creating .venv-peers: PyTorch and JAX, for the speed measurements ..."
	@$(BIN)/python -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet -r $<
	@touch $@

# otter-grader and TensorFlow want another wrapt than the book's pins, so the labs have an environment of their own.
.venv-labs/.ready: course/labs/requirements.txt | $(READY)
	@echo "Creating .venv-labs: otter-grader beside TensorFlow, for the labs ..."
	@$(BIN)/python -m venv .venv-labs
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-labs/bin/python -r $<
	@$(BIN)/uv pip install --quiet --python .venv-labs/bin/python --no-deps --editable .
	@touch $@

python:  # the interpreter that make would use
	@test -n "$(PYTHON)" && echo $(PYTHON)

install: $(READY)  ## create .venv with the pinned packages

book: $(READY)  ## build the book (warnings are errors) and say which file to open
	@$(BOOK)

pdf: $(READY)  ## the book as one PDF (needs Chromium; HANDOUT=1: without solutions; EACH=1: one a chapter)
	@$(BIN)/python tools/pdf.py $(if $(HANDOUT),--handout) $(if $(EACH),--each)

test: $(READY) data  ## everything: unit tests, book tests, and every notebook re-executed
	@$(BIN)/python tools/run_tests.py

quick: $(READY) data  ## while you write: make check, the fast unit tests and chapter 1 (about three minutes)
	@$(BIN)/python tools/run_tests.py quick

unit: $(READY)  ## the unit tests alone, book and notebook checks included
	@$(BIN)/python tools/run_tests.py unit

nbval: $(READY) data  ## re-execute every notebook, or one (NB=02_mlp_vae), and compare with its committed outputs
	@$(BIN)/python tools/run_tests.py nbval $(NB)

nbval-elsewhere: $(READY) data  ## the notebooks and numerical tests with other instruction sets and threads (hours; MISSING=1: the rest; NB=, SETTING=: one)
	@$(BIN)/python tools/nbval_elsewhere.py $(if $(MISSING),--missing) $(if $(SETTING),--setting "$(SETTING)") $(NB)

lab: $(READY) data  ## open the chapters in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

notebooks: $(READY) data  ## re-execute all chapters, or one: make notebooks NB=02_mlp_vae
	@$(BIN)/python tools/execute.py $(NB)

scoreboard: $(READY) data  ## make what has no stored result yet (from nothing, six hours or so), then the tables
	@$(BIN)/python experiments/run.py scoreboard
	@test -f experiments/results/seconds_per_epoch.json || $(BIN)/python experiments/run.py --time
	@$(BIN)/python experiments/scoreboard.py > experiments/results/scoreboard.md
	@$(BIN)/python experiments/scoreboard.py --first-page > experiments/results/first_page.md

explorer: $(READY) data  ## export the networks of the first page's latent explorer again
	@$(BIN)/python tools/export_explorer.py

decoder: $(READY)  ## a page in which to move the latents of a saved VAE: make decoder MODEL=model.keras PAGE=page.html
	@$(BIN)/python tools/export_decoder.py "$(MODEL)" "$(PAGE)"

bench: $(READY) .venv-peers/.ready data  ## measure speed, everything side by side (about an hour and a quarter, on a machine that does nothing else)
	@$(BIN)/python benchmarks/animation.py
	@$(BIN)/python benchmarks/speed.py

versions: $(READY) data  ## try the package on each TensorFlow it allows and each Python at hand (about ninety minutes)
	@$(BIN)/python tools/versions.py

pins: $(READY)  ## regenerate requirements.txt from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra book --no-annotate \
		--custom-compile-command "make pins" --output-file requirements.txt $(UPGRADE) pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --custom-compile-command "make pins" \
		--output-file course/labs/requirements.txt $(UPGRADE) course/labs/requirements.in pyproject.toml

lighthouse: book  ## judge the built pages with Lighthouse (needs Chromium and npm; about ten minutes)
	@$(BIN)/python benchmarks/pages.py

links: $(READY)  ## ask every address that the book links to (needs a network)
	@$(BOOK) --builder linkcheck; status=$$?; rm -f _build/html/output.json _build/html/output.txt; exit $$status

course: student solutions labs decks quizzes exam  ## the lecturer's whole kit, under _build (under 15 minutes)
	@$(BIN)/python tools/pdf.py --handout --each

student: $(READY)  ## the chapters without solutions, as a folder and a zip
	@$(BIN)/python course/copies.py student

solutions: $(READY)  ## the chapters with them, as a folder and a zip
	@$(BIN)/python course/copies.py solutions

labs: .venv-labs/.ready  ## the four labs: what students get, what grades them, the lecturer's copy
	@.venv-labs/bin/python course/labs/build.py

grade: .venv-labs/.ready data  ## grade a folder of handed-in notebooks: make grade LAB=1 FROM=folder
	@.venv-labs/bin/python course/labs/grade.py "$(LAB)" "$(FROM)"

grade-check: .venv-labs/.ready data  ## the reference gets all points, the blank none (SLIPS=1: each planted slip loses some)
	@.venv-labs/bin/python course/labs/grade_check.py $(if $(SLIPS),--slips) $(LAB)

decks: $(READY)  ## the four decks of slides
	@$(BIN)/python course/decks/build.py

quizzes: $(READY)  ## the quizzes for learning platforms: QTI for Canvas and ILIAS, XML for Moodle
	@$(BIN)/python course/quizzes/export.py

exam: $(READY)  ## two variants of the examination with their keys: make exam SEED=7
	@$(BIN)/python course/exam/exam.py $(SEED)

svg: $(READY) data  ## every plot as SVG, for slides: re-executes the chapters (half an hour), or one: make svg NB=01_theory
	@$(BIN)/python course/svg.py $(NB)

check: $(READY)  ## lint, notebooks, hygiene, the size of the package (under 30 s)
	@$(BIN)/python tools/check.py

data: $(READY)  ## fetch and verify MNIST and Fashion-MNIST
	@$(BIN)/python tools/fetch_data.py

repository:  ## point links, instructions and Colab at your fork: make repository URL=https://github.com/you/any-name
	@$(PYTHON) tools/set_repository.py $(if $(URL),"$(URL)")

clean:  ## remove everything that make created (the data cache stays)
	rm -rf .venv .venv-peers .venv-labs _build notebooks/films .pytest_cache .ruff_cache vae_helpers.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -type d -prune -exec rm -rf {} +
