# The verbs of this repository. The work is done by requirements/set_up.py and by the tools named below,
# so that everything also goes by hand where there is no make.

PYTHON ?= python3
RUN := .venv/bin/python
# Two workers with one torch thread each.
PYTEST := OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 -m "not browser"

.DEFAULT_GOAL := help
.PHONY: help env env-lab lab check test test-all replicate verdicts tab notebooks book bench clean

help:  ## list these verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

env:  ## prepare .venv with all that the tests need; quick when nothing changed
	@$(PYTHON) requirements/set_up.py dev

env-lab:
	@$(PYTHON) requirements/set_up.py lab

lab: env-lab  ## open JupyterLab on the first notebook, in copies of your own (my_work/)
	@.venv/bin/physlm lab my_work

check: env
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

# The browser test runs alone, because it waits for things to happen on a page.
test: check  ## check style and types, then run the tests; of what grows with every claim, today's share
	$(PYTEST) --sample
	$(RUN) -m pytest -m browser tests/browser --sample

test-all: check  ## the same with every claim and every record
	$(PYTEST)
	$(RUN) -m pytest -m browser tests/browser

replicate: env-lab  ## one claim from start to verdict, at the toy scale
	.venv/bin/physlm replicate R2-depth --scale toy

verdicts: env  ## write down the verdicts of the shipped records, for review
	$(RUN) tests/claims/verdicts.py

notebooks: env  ## build the notebooks from notebooks/source
	$(RUN) notebooks/build.py

book: env  ## build the book from the stored notebooks: lessons, reference, glossary, ledger (build/book)
	$(RUN) book/build.py

tab: env  ## build the page that trains in a browser tab, and its picture
	$(RUN) -m physlm_lite.tab.build

bench: env  ## time what the notebooks promise
	.venv/bin/physlm bench

clean:  ## remove .venv and the caches; notebooks and run records stay
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
