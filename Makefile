# CheXViz. `make demo` and `make test` need nothing but Python >= 3.11 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
STUDY ?= demo# whose results `report`, `verify` and `archive` take: demo, rehearsal or paper
STUDIES := demo rehearsal paper
KILLS ?= 20# of `soak`
SCALE ?= 1# what a rehearsal divides the numbers of images by
RESULTS_demo := results/demo
RESULTS_rehearsal := results/rehearsal
RESULTS_paper := results
OVERLAY_demo := --configfile config/demo.yaml
# The second one holds what was chosen on the command line of the last rehearsal.
OVERLAY_rehearsal := --configfile config/rehearsal.yaml results/rehearsal/overlay.yaml
RESULTS := $(RESULTS_$(STUDY))
OVERLAY := $(OVERLAY_$(STUDY))
ifeq ($(filter $(STUDY),$(STUDIES)),)
$(error STUDY is one of: $(STUDIES); found: $(STUDY))
endif
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: moved help install demo demo-federation rehearsal test test-paper test-conda test-federation soak test-cluster paper pins report verify archive lint format docs bench lock clean
.DEFAULT_GOAL := help

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# The environment is complete when the copy of the lock beside it is the lock. Its scripts have their
# path inside: one that was moved or copied with its folder is made anew.
MOVED := $(if $(wildcard $(BIN)/snakemake),$(shell grep -qF '$(CURDIR)/$(BIN)/' $(BIN)/snakemake || echo moved))
$(VENV)/requirements.lock: envs/requirements.lock $(MOVED)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ERROR Python >= 3.11 is needed; found: $$($(PYTHON) --version 2>&1). Name another one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(if $(MOVED),--clear) $(VENV) || \
		{ echo "ERROR no virtual environment: on Debian and Ubuntu, apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip sync --require-hashes --compile-bytecode envs/requirements.lock
	@cp envs/requirements.lock $@

install: $(VENV)/requirements.lock ## set up .venv, which every other command does too

demo: $(VENV)/requirements.lock ## run the whole workflow on phantom radiographs: results/demo/paper.pdf
	snakemake --cores $(CORES) --configfile config/demo.yaml

demo-federation: $(VENV)/requirements.lock ## train a coordinator and three sites as processes over TLS: results/demo_federation/tables/patient/table1.md
	snakemake --cores $(CORES) --configfile config/demo.yaml config/demo_federation.yaml \
		-- results/demo_federation/tables/patient/table1.md

# SCALE=100: a hundredth of the images. ARCHITECTURES=standard: without DenseNet121.
# PROFILE=profiles/slurm: on a cluster.
rehearsal: resources/rehearsal/imagenet.pth ## run the paper's size on phantom radiographs: results/rehearsal/costs.md; SCALE=100: a hundredth
	@mkdir -p results/rehearsal
	@printf 'phantom: {scale: $(SCALE)}\n' >results/rehearsal/overlay.yaml
	@$(if $(ARCHITECTURES),printf 'run: {architectures: [$(ARCHITECTURES)]}\n' >>results/rehearsal/overlay.yaml)
	snakemake $(if $(PROFILE),--profile $(PROFILE),--cores $(CORES)) $(OVERLAY_rehearsal)
	PYTHONPATH=workflow python -m chexviz.tools.costs --benchmarks benchmarks/rehearsal \
		--data resources/rehearsal results/rehearsal --output results/rehearsal/costs.md

resources/rehearsal/imagenet.pth: | $(VENV)/requirements.lock
	PYTHONPATH=workflow python -m chexviz.tools.phantom_weights --seed 2022 --output $@

test: $(VENV)/requirements.lock ## run all tests
	python -m pytest -n logical --dist loadfile --no-loadscope-reorder

test-paper: $(VENV)/requirements.lock ## run the paper's own configuration, on few phantom images
	python -m pytest tests/paper

test-conda: $(VENV)/requirements.lock ## run the demo in conda environments made from a channel on disk
	python -m pytest tests/conda

test-federation: $(VENV)/requirements.lock ## run a federation of processes over TLS, and end each of them in every way
	python -m pytest tests/federation

soak: $(VENV)/requirements.lock ## kill processes of a federation at random, KILLS=20 of them, and compare the result with one process
	PYTHONPATH=workflow:tests:tests/unit python tests/federation/soak.py --kills $(KILLS)

test-cluster: $(VENV)/requirements.lock ## run the demo through a SLURM of two nodes on this machine
	python -m pytest tests/cluster

paper: $(VENV)/requirements.lock ## the paper with the real datasets: results/paper.pdf
	snakemake --cores $(CORES)

report: $(VENV)/requirements.lock ## all results as one page: results/demo/report.html; STUDY=paper: results/report.html
	PYTHONPATH=workflow python -m chexviz report $(RESULTS)/report.html $(OVERLAY)

verify: $(VENV)/requirements.lock ## compare the results with the config, code, data and environment that made them; STUDY as for report
	PYTHONPATH=workflow python -m chexviz verify $(OVERLAY)

archive: $(VENV)/requirements.lock ## pack the results for Zenodo, without images or names of patients: results/demo/archive.zip; STUDY as for report
	PYTHONPATH=workflow python -m chexviz archive $(RESULTS)/archive.zip $(OVERLAY) $(if $(RADIOGRAPHS),--radiographs)

lint: $(VENV)/requirements.lock ## check style, formatting, types, the workflow and the Dockerfile
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile workflow/Snakefile workflow/rules
	snakemake --lint
	hadolint Dockerfile

format: $(VENV)/requirements.lock ## format all code
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow/Snakefile workflow/rules

docs: ## write what docs/architecture.md says of rooms and modules, from the code
	PYTHONPATH=workflow $(PYTHON) -m chexviz.tools.architecture_page

bench: $(VENV)/requirements.lock ## measure speed, as ratios side by side
	python bench/run.py

lock: $(VENV)/requirements.lock ## resolve the newest versions anew
	uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header \
		envs/requirements.in --output-file envs/requirements.lock

pins: $(VENV)/requirements.lock ## pin files beside envs/*.yaml; CUDA=13.0: what the GPU's driver supports
	PYTHONPATH=workflow python -m chexviz.tools.conda_pins $(if $(CUDA),--cuda $(CUDA)) \
		$(filter-out $(if $(CUDA),%-cpu.yaml,%-gpu.yaml),$(wildcard envs/*.yaml))

clean: ## remove the environment and the files of demos and rehearsal, never the paper's
	rm -rf $(VENV) $(foreach study,demo demo_federation rehearsal,$(addsuffix /$(study),results resources logs benchmarks))
