# Every target sets up what it needs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-full run test test-cuda dev sql refresh lint format bench lock browser

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := 0.13.9
WORKERS ?= 2

ifdef EHR
# A home of its own, so that neither demo retrains the other away.
export MEDCSP_HOME ?= $(CURDIR)/.medcsp-ehr
export MEDCSP_MIMIC_IV := $(EHR)
endif

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s $$'\t'

setup: $(VENV)/.ready ## install the pinned requirements into .venv

$(VENV)/.ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=python3.11")'
	@$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV)
	@$(BIN)/uv pip sync -q --python $(BIN)/python requirements.lock
	@touch $@

demo: setup ## whole graph on synthetic sources, on the CPU; EHR=<MIMIC-IV root> takes a real EHR tree
	@source ./env.sh && MEDCSP_PROFILE=demo python -m pipelines.run

demo-full: setup ## the demo with every prediction task, cohort and method at demo size
	@source ./env.sh && MEDCSP_PROFILE=demo_full python -m pipelines.run

run: setup ## whole graph on the real sources named by the environment, profile `default`
	@source ./env.sh && MEDCSP_PROFILE=$${MEDCSP_PROFILE:-default} python -m pipelines.run

refresh: setup ## observe the raw files and rebuild what changed, without training
	@source ./env.sh && python -m pipelines.run --job refresh

dev: setup ## open the Dagster UI
	@source ./env.sh && dagster dev

sql: export ASKED = $(value QUERY)
sql: setup ## open the catalogue at a SQL prompt; QUERY="select ..." answers one question
	@source ./env.sh && python -m lake.prompt $(if $(value QUERY),--query "$$ASKED")

test: setup ## run the tests
	@source ./env.sh && python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-cuda: setup ## run the tests that need a CUDA device; all others hold the CPU's results and see none
	@source ./env.sh && MEDCSP_TEST_CUDA=1 python -m pytest -m gpu

lint: setup ## run the checks
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/sqlfluff lint -q sql

format: setup ## let the formatters have their way
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix . && $(BIN)/sqlfluff fix -q sql

bench: setup ## run one benchmark: NAME=train_step
	@source ./env.sh && python -m benchmarks.$(NAME)

lock: setup ## pin the requirements again, newest versions that pyproject.toml admits
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --group dev --no-emit-index-url --no-annotate \
		--custom-compile-command 'make lock' pyproject.toml -o requirements.lock
