# `make demo` and `make test` do all of their own set-up; see `make help`.
# Everything that is made lands below .local/ and is rebuilt when its inputs change.
SHELL := /bin/sh
.DELETE_ON_ERROR:
L := .local
PYTHON ?= python3
UV := $(L)/uv/bin/uv
VENV := $(L)/venv
PY := $(VENV)/bin/python
# The oldest az that the extension supports (README, azext_metadata.json); see also az-newest.
AZ_VERSION := 2.91.0
# Looked for again every week.
NEWEST := $(L)/az-newest/.made-$(shell date +%G-%V)
# Tests wait for containers more than they compute: this many keep two cores busy.
JOBS ?= 12
PYTEST := $(PY) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0
CA := $(L)/ca/ca.pem
EXTENSIONS := $(L)/extensions

SOURCES := $(shell find azext_otelembed -name '*.py' -o -name '*.yml' -o -name '*.json' -o -name 'py.typed')
IMAGE_SOURCES := $(shell find localazure/images -type f -not -name '*.pyc')
TOOL_SOURCES := $(shell find localazure/images/tools -type f)
# A source that is gone makes nothing older: which ones there are is an input of its own.
LIST := $(L)/sources-$(firstword $(shell echo $(sort $(SOURCES) $(IMAGE_SOURCES)) | cksum))

# Python's cache of compiled modules is what makes a start of az or of the double cheap: where this
# variable is set, each of hundreds of processes would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help env setup demo play test test-all test-rest lint wheel picture clean
help:
	@echo 'make demo     embed the collector in a sample app, on a local double of Azure'
	@echo 'make test     run the tests'
	@echo 'make test-all run all tests, including the crash and concurrency tests'
	@echo 'make test-rest run those that make test leaves out, but for the one with buildx'
	@echo 'make play     keep the double running, and print the settings for your own az'
	@echo 'make lint     check format, style and types'
	@echo 'make wheel    build the extension, in dist/'
	@echo 'make picture  record the terminal pictures of the README'
	@echo 'make clean    remove all generated files'

$(LIST):
	@mkdir -p $(L) && rm -f $(L)/sources-* && touch $@

$(UV):
	@echo '· uv' && $(PYTHON) -m venv $(L)/uv && $(L)/uv/bin/python -m pip install --quiet uv

$(VENV)/.made: pyproject.toml $(UV)
	@echo '· Python packages for the double and the tests'
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	@$(UV) pip install --quiet --python $(PY) --group dev -r pyproject.toml
	@touch $@

$(L)/az/.made: Makefile $(UV)
	@echo '· the Azure CLI'
	@$(UV) venv --quiet --seed --allow-existing --python $(PYTHON) $(L)/az
	@$(UV) pip install --quiet --python $(L)/az/bin/python 'azure-cli==$(AZ_VERSION)'
	@touch $@

# For tests/e2e/test_newest_az.py.
$(NEWEST): $(UV)
	@echo '· the newest Azure CLI'
	@$(UV) venv --quiet --seed --allow-existing --python $(PYTHON) $(L)/az-newest
	@$(UV) pip install --quiet --upgrade --python $(L)/az-newest/bin/python azure-cli
	@touch $@

$(L)/dist/.made: $(SOURCES) $(LIST) pyproject.toml setup.cfg README.md LICENSE $(UV)
	@echo '· the extension (wheel)'
	@rm -rf $(L)/wheel $(L)/dist && mkdir -p $(L)/wheel $(L)/dist
	@cp -R azext_otelembed pyproject.toml setup.cfg README.md LICENSE $(L)/wheel/
	@find $(L)/wheel -name __pycache__ -prune -exec rm -rf {} +
	@$(UV) build --quiet --wheel --python $(PYTHON) --out-dir $(L)/dist $(L)/wheel
	@touch $@

# pip resolves the extension's dependencies anew each time: let it reuse what is there already.
$(EXTENSIONS)/.made: $(L)/dist/.made $(L)/az/.made
	@echo '· the extension (az extension add)'
	@rm -rf $(EXTENSIONS) && mkdir -p $(EXTENSIONS)
	@AZURE_CONFIG_DIR=$(CURDIR)/$(L)/az-setup AZURE_EXTENSION_DIR=$(CURDIR)/$(EXTENSIONS) AZURE_CORE_COLLECT_TELEMETRY=false \
	  $(L)/az/bin/az extension add --only-show-errors --yes --source $(L)/dist/otelembed-*.whl
	@touch $@

# Made once: the images trust it.
$(CA): | $(VENV)/.made
	@$(PY) -m localazure.authority $(L)/ca

$(L)/images/.made: $(CA) $(VENV)/.made $(IMAGE_SOURCES) $(LIST)
	@$(PY) -m localazure.images collector --ca $(CA) --out $(L)/images/collector
	@$(PY) -m localazure.images app --out $(L)/images/app
	@touch $@

$(L)/bin/crane: $(VENV)/.made $(TOOL_SOURCES)
	@$(PY) -m localazure.images tools --out $(L)/bin
	@touch $@

# Docker's own buildx, for the one test that needs it: minutes to compile, so not for `make test`.
$(L)/bin/buildx: $(VENV)/.made localazure/images/buildx/go.mod localazure/images/buildx/go.sum
	@$(PY) -m localazure.images buildx --out $(L)/bin
	@touch $@

env: $(VENV)/.made $(L)/az/.made
setup: $(VENV)/.made $(L)/az/.made $(EXTENSIONS)/.made $(L)/images/.made

demo: setup
	@$(PY) -m localazure.demo

play: setup
	@$(PY) -m localazure.play

test: setup $(L)/bin/crane
	@$(PYTEST) -m 'not thorough' $(ARGS)

test-all: setup $(L)/bin/crane $(L)/bin/buildx $(NEWEST)
	@$(PYTEST) $(ARGS)

# What `make test` leaves out, without the test that needs buildx; UNTIL (seconds since 1970) is when
# it has to end: tests for which there is no time left are skipped.
test-rest: setup $(L)/bin/crane $(NEWEST)
	@$(PYTEST) -m thorough --ignore tests/builders/test_build_buildx.py $(if $(UNTIL),--until $(UNTIL)) $(ARGS)

lint: $(VENV)/.made
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy

wheel: $(L)/dist/.made
	@mkdir -p dist && rm -f dist/otelembed-*.whl && cp $(L)/dist/*.whl dist/ && ls dist/*.whl
	@echo "Install it with: az extension add --source $$(ls dist/otelembed-*.whl)"

picture: setup
	@$(PY) -m localazure.picture docs

clean:
	@rm -rf $(L) dist
