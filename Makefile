# `make demo` and `make test` need Python 3.11 or newer and make, nothing else.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help demo test durations lint types check benchmark crash load soak memory image steps live answers schemas pictures dist bundle sizes clean

help:  ## what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/base.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/base.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[claude]' --group dev
	@touch $@

# A real chain for the tests: anvil, and the compiler of the test contracts, by npm as it is configured.
CHAIN := $(VENV)/chain
$(VENV)/chain.stamp: $(VENV)/dev.stamp tests/rigs/contracts/package.json tests/rigs/contracts/Tokens.sol
	@mkdir -p $(CHAIN) && cp tests/rigs/contracts/package.json $(CHAIN)/
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm install --prefix $(CHAIN) --silent --no-audit --no-fund --ignore-scripts
	$(BIN)/node $(CHAIN)/node_modules/solc/solc.js --bin --optimize --base-path tests/rigs/contracts \
	  --output-dir $(CHAIN)/contracts tests/rigs/contracts/Tokens.sol
	@touch $@

# What judges the server in the tests, by npm too: the conformance suite, the Inspector, the checker of bundles.
HOSTS := $(VENV)/hosts
$(VENV)/hosts.stamp: $(VENV)/dev.stamp tests/rigs/hosts/package.json
	@mkdir -p $(HOSTS) && cp tests/rigs/hosts/package.json $(HOSTS)/
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm install --prefix $(HOSTS) --silent --no-audit --no-fund --ignore-scripts
	@touch $@

demo: $(VENV)/base.stamp  ## a strategy over simulated days: no key, no network
	@$(BIN)/claude-trader demo

# The slowest files first (tests/durations.json), which xdist would change to files of many tests first.
TEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
test: $(VENV)/chain.stamp $(VENV)/hosts.stamp  ## every test
	$(TEST)

durations: $(VENV)/chain.stamp $(VENV)/hosts.stamp  ## every test, and write down what each file took
	$(TEST) --write-durations

lint: $(VENV)/dev.stamp  ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp  ## types
	$(BIN)/mypy

check: test lint types  ## all that CI checks

benchmark: $(VENV)/dev.stamp  ## figures, as ratios against a floor in the same run
	$(BIN)/python -m pytest tests/benchmarks --override-ini=addopts= -q -s

crash: $(VENV)/dev.stamp  ## kill `claude-trader up` 200 times at random moments, and account for every slot
	$(BIN)/python -m tests.scheduler.crash_harness --cycles 200 --seed 1

load: $(VENV)/dev.stamp  ## how late runs begin with 100 and with 2,000 strategies every minute: 12 minutes
	$(BIN)/python -m tests.benchmarks.scheduler_load 100 3
	$(BIN)/python -m tests.benchmarks.scheduler_load 2000 5

soak: $(VENV)/dev.stamp  ## 50 strategies with faults for 20 minutes: memory, files, every slot
	$(BIN)/python -m tests.scheduler.soak 20

memory: $(VENV)/dev.stamp  ## what the container's processes take at rest and with Claude runs
	$(BIN)/python -m tests.benchmarks.container_memory

image: $(VENV)/dev.stamp  ## build the Dockerfile without Docker, in Debian folders, and try it: root, debootstrap
	$(BIN)/python -m tests.deploy.image none

steps: $(VENV)/dev.stamp  ## the build stage's steps of the Dockerfile, with a virtual environment instead of an image
	$(BIN)/python -m tests.deploy.image plain

live: $(VENV)/dev.stamp  ## the market and chain tools against the real ones; needs internet, no key
	$(BIN)/python -m pytest tests/live -m live

answers: $(VENV)/chain.stamp  ## write the answers in the documentation anew
	$(BIN)/python -m tests.structure.answers

schemas: $(VENV)/dev.stamp  ## write the JSON Schemas in strategies/ anew
	$(BIN)/python -m tests.structure.schemas

pictures: $(VENV)/dev.stamp  ## draw the pictures in docs/charts anew
	$(BIN)/python -m tests.structure.pictures

dist: $(VENV)/dev.stamp  ## the wheel and the sdist, in dist/
	rm -rf dist && $(BIN)/hatchling build -d dist

bundle: dist $(VENV)/hosts.stamp  ## the one-click bundle for Claude Desktop, in dist/
	rm -rf build/bundle && mkdir -p build/bundle && cp hosts/bundle/* dist/*.whl build/bundle/
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/node $(HOSTS)/node_modules/@anthropic-ai/mcpb/dist/cli/cli.js \
	  pack build/bundle dist/claude-trader.mcpb

sizes: dist  ## install the wheel into empty environments, without and with the extra, ask the server there, say the sizes
	$(BIN)/python -m tests.hosts.sizes

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
