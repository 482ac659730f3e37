# Everything a newcomer or CI runs. Only Python >= 3.11 and make are assumed; all else is fetched, locked by hash.
PYTHON ?= python3
UV := .tools/uv
export UV_PYTHON := $(PYTHON)
export UV_PYTHON_DOWNLOADS := never
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install demo cluster test lint format bench soak clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV): scripts/get_uv.py
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("kube-headroom needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) scripts/get_uv.py $@
	@touch $@

.venv/.runtime: pyproject.toml uv.lock | $(UV)
	$(UV) sync --locked --inexact --no-dev --quiet
	@touch $@

.venv/.dev: pyproject.toml uv.lock | $(UV)
	$(UV) sync --locked --inexact --quiet
	@touch $@ .venv/.runtime

install: .venv/.dev ## Install everything into .venv

demo: .venv/.runtime ## The main job without a cluster: three real reviews over HTTPS, and a scale
	@$(BIN)/kube-headroom demo --snapshot examples/cluster.json $(DEMO_ARGS) examples/demo

cluster: .venv/.dev ## A real control plane with the webhook in it, to try kubectl on; Ctrl-C ends it
	@$(BIN)/python -m tests.e2e.try_it

test: lint ## Everything: unit, differential, real control plane, real node (CI runs this)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: .venv/.dev ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/.dev ## Format and fix what can be fixed
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

bench: .venv/.dev ## Measure and write bench/README.md
	$(BIN)/python -m bench

soak: .venv/.dev ## The long forms of the tests
	$(BIN)/python -m pytest --soak $(PYTEST_ARGS)

clean: ## Remove what make made here
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
