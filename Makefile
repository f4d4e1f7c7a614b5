# CheXViz. `make demo` and `make test` need nothing but Python >= 3.11 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help install demo test test-cluster paper report lint format bench lock clean
.DEFAULT_GOAL := help

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# The environment is complete when the copy of the lock beside it is the lock.
$(VENV)/requirements.lock: envs/requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ERROR Python >= 3.11 is needed; found: $$($(PYTHON) --version 2>&1). Name another one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "ERROR no virtual environment: on Debian and Ubuntu, apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip sync --require-hashes --compile-bytecode envs/requirements.lock
	@cp envs/requirements.lock $@

install: $(VENV)/requirements.lock ## set up .venv, which every other command does too

demo: $(VENV)/requirements.lock ## run the whole workflow on phantom radiographs: results/demo/paper.pdf
	snakemake --cores $(CORES) --configfile config/demo.yaml

test: $(VENV)/requirements.lock ## run all tests
	python -m pytest -n logical --dist loadfile --no-loadscope-reorder

test-cluster: $(VENV)/requirements.lock ## run the demo through a SLURM of two nodes on this machine
	python -m pytest tests/cluster

paper: $(VENV)/requirements.lock ## the paper with the real datasets: results/paper.pdf
	snakemake --cores $(CORES)

report: $(VENV)/requirements.lock ## the demo's results as one HTML page: results/demo/report.html
	snakemake --configfile config/demo.yaml --report results/demo/report.html

lint: $(VENV)/requirements.lock ## check style, formatting and the workflow
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/rules
	snakemake --lint

format: $(VENV)/requirements.lock ## format all code
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow/rules

bench: $(VENV)/requirements.lock ## measure speed, as ratios side by side
	python bench/run.py

lock: $(VENV)/requirements.lock ## resolve the newest versions anew
	uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header \
		envs/requirements.in --output-file envs/requirements.lock

clean: ## remove the environment and the demo's files, never the paper's
	rm -rf $(VENV) results/demo resources/demo logs/demo benchmarks/demo
