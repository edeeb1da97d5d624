# Every habit of this house as one command; `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := .venv/bin
STAMP := .venv/.installed
CODE := registry embeddings server clients migrations tests examples benchmarks scripts

# pyright asks the network for its own newest version unless told not to.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Make .venv with everything, or bring it up to date

$(STAMP): pyproject.toml constraints.txt scripts/install.sh
	@scripts/install.sh
	@touch $@

demo: install ## See Toolcrib connect real servers, find a tool and call it
	@$(BIN)/python examples/demo/demo.py

run: install ## Serve MCP and REST on this machine
	@$(BIN)/toolcrib serve

test: install ## Run every test, on up to four cores; offline
	@$(BIN)/pytest -q --numprocesses auto --maxprocesses 4 --dist loadfile

lint: install ## Check format, style, types and floors
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/pyright
	@$(BIN)/lint-imports

check: lint test ## Everything a change must pass: lint, and every test

coverage: install ## Run every test, and list the lines that none reaches
	@$(BIN)/pytest -q --cov --cov-report=term-missing:skip-covered

fix: install ## Put right what can be put right by machine
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

bench: install ## Measure speed, memory, quality: hours; DATA=FOLDER of the sets, ONLY="search relay"
	@$(if $(DATA),DATA=$(DATA)) ONLY="$(ONLY)" $(BIN)/python benchmarks

docs: install ## Write the pages that are derived from the code
	@$(BIN)/python scripts/docs.py

interop: install ## Run other people's MCP clients against Toolcrib; fetches them once
	@$(BIN)/python tests/interop/interop.py

conformance: install ## Run the official conformance suite through Toolcrib; fetches it once
	@$(BIN)/python -m tests.conformance

pins: install ## Write constraints.txt anew from what is installed
	@$(BIN)/python scripts/pin.py

clean: ## Remove the environment and everything that was made
	rm -rf .venv .cache dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help install demo run test lint check coverage fix bench docs interop conformance pins clean
