# Every target sets up what it needs: nothing outside this folder is changed.
# `make` alone lists the targets.

PYTHON ?= python3
# The pair this project is tested with. They have to match each other exactly: a torch of another
# version or build does not load torchvision's compiled operators.
TORCH ?= torch==2.14.1 torchvision==0.29.1
# Where it comes from, as pip's --index-url; empty = where all packages do.
TORCH_INDEX ?=
# What is installed of this project, and how, as pip takes it.
PACKAGE ?= --editable '.[dev]'
CONFIG ?= configs/DF2S2/small/demo_R18.yaml
OUTPUT ?= output/demo
PYTEST_ARGS ?=
CASES ?= 20000
SECONDS ?= 60
CHANGES ?= 60

VENV := .venv
BIN := $(VENV)/bin
# Errors only: progress is told by the sentences of the recipes.
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
# Named after the contents of everything that decides what is installed, so that a change of any
# of it, and nothing else, installs again.
INSTALLERS := pyproject.toml setup.py $(wildcard df2s2_d2/installation/*.py)
CHOICES := $(TORCH) $(TORCH_INDEX) $(PACKAGE)
STAMP := $(VENV)/installed-$(shell (echo "$(CHOICES)"; cat $(INSTALLERS)) | cksum | cut -d ' ' -f 1)

# The site needs no PyTorch: its environment is small, and made in a minute.
DOCS_VENV := .venv-docs
DOCS_STAMP := $(DOCS_VENV)/installed-$(shell cksum < pyproject.toml | cut -d ' ' -f 1)

AUDIT_VENV := .venv-audit
AUDIT_STAMP := $(AUDIT_VENV)/installed

.DEFAULT_GOAL := help
.PHONY: help venv demo test fuzz guided mutants coverage matrix audit lint docs clean

help: ## List the targets
	@echo "Usage: make TARGET [VARIABLE=value]"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Variables: PYTHON=$(PYTHON)  CONFIG=$(CONFIG)  OUTPUT=$(OUTPUT)"
	@echo "           TORCH=\"$(TORCH)\"  PYTEST_ARGS=\"$(PYTEST_ARGS)\""

venv: $(STAMP) ## Set up .venv: PyTorch, detectron2 and this package (about 5 minutes, 7 GB)
	@echo "Ready. Find faces: $(BIN)/df2s2 detect photos/ (your own folder; results in found/)."
	@echo "'make demo' shows that, then trains and tests a small detector; 'make test' runs the tests."
	@echo "To type commands yourself: source $(BIN)/activate; df2s2 --help lists them"

demo: $(STAMP) ## Find faces in photographs; train and test a detector on drawn ones (CONFIG=FILE for another)
	@$(BIN)/python tools/run_demo.py --config-file "$(CONFIG)" --output "$(OUTPUT)"

# A process for each core, up to four, since each may need 3 GB; the last -n of a command counts. Each
# begins with a part of the suite that lies together, so that a module's detectors are made once.
test: $(STAMP) ## Run the tests (PYTEST_ARGS="-k losses" for some, "-n 0" in one process)
	@$(BIN)/python -m pytest tests -n logical --maxprocesses 4 --dist worksteal $(PYTEST_ARGS)

fuzz: $(STAMP) ## Feed every parser wrong files: CASES=20000 each (hours on one core)
	@DF2S2_FUZZ_CASES=$(CASES) $(BIN)/python -m pytest tests/fuzzing tests/second_opinion $(PYTEST_ARGS)

guided: $(STAMP) ## Fuzz by the code that cases reach, with atheris (SECONDS=60 for each parser)
	@$(PIP) install --editable '.[fuzzing]'
	@$(BIN)/python tools/guided_fuzzing.py --seconds $(SECONDS)

mutants: $(STAMP) ## Change the central code a line at a time: do the tests notice? (CHANGES=60)
	@$(BIN)/python tools/mutation_test.py --changes $(CHANGES)

coverage: $(STAMP) ## Run the tests, and tell which lines of the package none of them runs
	@$(PIP) install --editable '.[coverage]'
	@$(BIN)/python -m pytest tests -n logical --maxprocesses 4 --cov --cov-report=term:skip-covered \
		$(PYTEST_ARGS)

matrix: ## Run the tests with every Python and torch that is supported and found here (hours)
	@$(PYTHON) tools/environment_matrix.py $(if $(PYTEST_ARGS),-- $(PYTEST_ARGS))

audit: $(STAMP) $(AUDIT_STAMP) ## Look for advisories about what is required, and at its licences
	@$(BIN)/python tools/audit.py --pip-audit $(AUDIT_VENV)/bin/pip-audit

lint: $(STAMP) ## Check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

docs: $(DOCS_STAMP) ## Build the documentation site, site/index.html, in an environment of its own
	@$(DOCS_VENV)/bin/python tools/build_site.py

clean: ## Remove environments, caches and build files; output/ and datasets/ stay
	rm -rf $(VENV) $(DOCS_VENV) $(AUDIT_VENV) .venv-matrix .coverage* .pytest_cache .ruff_cache build dist site .cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): | $(BIN)/python
	@rm -f $(VENV)/installed-*
	@echo "Updating pip…"
	@$(PIP) install --upgrade pip
	@echo "Installing PyTorch (about 2 minutes, 6 GB)…"
	@$(PIP) install $(TORCH) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) || { \
		echo "pip could not install $(TORCH) (its message is above). Another matching pair:" \
			"make TORCH='torch==… torchvision==…'" >&2; exit 1; }
	@echo "Installing df2s2_d2 and what it requires…"
	@$(PIP) install $(PACKAGE)
	@echo "Installing detectron2…"
	@$(BIN)/python tools/install_detectron2.py
	@touch $@

$(DOCS_STAMP): | $(DOCS_VENV)/bin/python
	@rm -f $(DOCS_VENV)/installed-*
	@echo "Installing what builds the site…"
	@$(DOCS_VENV)/bin/python -m pip --disable-pip-version-check --no-input -qq install \
		--editable '.[docs]'
	@touch $@

$(AUDIT_STAMP): | $(AUDIT_VENV)/bin/python
	@$(AUDIT_VENV)/bin/python -m pip --disable-pip-version-check --no-input -qq install pip-audit
	@touch $@

%/bin/python:
	@command -v $(PYTHON) > /dev/null || { \
		echo "There is no '$(PYTHON)' on the PATH. Install Python 3.10 to 3.13, or name yours:" \
			"make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || { \
		echo "Python 3.10 to 3.13 is needed, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
			"Name another: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Creating $* with $$($(PYTHON) --version)…"
	@$(PYTHON) -m venv $* || { rm -rf $*; \
		echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu it is a package of its own:" \
			"sudo apt install python3-venv" >&2; exit 1; }
