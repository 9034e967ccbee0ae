# `make` alone lists the targets. Each creates the environment in .venv first, if need be.

# The first of these that exists starts the set-up; it looks for another one itself where this one is too old.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do command -v $$p && break; done)
BIN := .venv/bin
# On a busy machine one thread is several times faster than two that wait for each other.
ONE_THREAD := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1}
# A file's tests go to one worker, so that what they share, such as executed notebooks, is made once.
PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest -q -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help environment notebooks site lab test test-site portable refresh format benchmark clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

environment:  ## create .venv, or complete it
	@$(if $(PYTHON),,$(error No Python found: install Python 3.11 to 3.13, https://www.python.org/downloads/))
	@"$(PYTHON)" tools/setup_environment.py

notebooks: environment  ## run every notebook, then build the site from what came out, in build/html
	@$(BIN)/python -m tools.run_notebooks
	@$(BIN)/python -m tools.build_site --executed

site: environment  ## build the site from the committed outputs, in build/html
	@$(BIN)/python -m tools.build_site

lab: environment  ## open JupyterLab at notebook 00; LAB="--no-browser --port=8888" passes options on
	@root=; if [ "$$(id -u)" = 0 ]; then root=--allow-root; \
		echo "You are root, which JupyterLab refuses without --allow-root: it is passed. Notebooks run as root now."; fi; \
		$(BIN)/python -m jupyterlab $$root $(LAB) $(wildcard notebooks/00_*.ipynb)

test: environment  ## lint, types, tests, and the notebooks with their freshness check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(PYTEST) -m "not no_shape_check and not site" --jaxtyping-packages=sam_edu,beartype.beartype
	$(PYTEST) -m no_shape_check
	$(BIN)/python -m tools.run_notebooks --check
	$(BIN)/python -m tools.run_notebooks --from-root
	@echo "All passed: lint, types, tests, notebooks."

test-site: site  ## look at every page of the site in Chromium, wide and narrow, light and dark; work the click lab
	@$(BIN)/python -m tools.find_browsers
	$(PYTEST) --dist worksteal -m site tests/site

portable: environment  ## check the notebooks' outputs as on other processors, by stand-ins
	@$(BIN)/python -m tools.check_portability

refresh: environment  ## run the notebooks and rewrite the committed outputs that are out of date
	@$(BIN)/python -m tools.run_notebooks --write

format: environment  ## let ruff put the code and the notebooks' cells in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

benchmark: environment  ## time FastMaskDecoder against Meta's decoder; results go to build/benchmark
	@$(ONE_THREAD) $(BIN)/python -m tools.benchmark

clean:  ## remove what the targets made, the environment included
	rm -rf .venv build .mypy_cache .pytest_cache .ruff_cache .hypothesis
