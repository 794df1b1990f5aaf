# Một Cửa: what people and CI do with a checkout. `make help` lists it.
#
# Needed beforehand: make, and Python 3.11 or newer. Everything else comes into .venv, pinned by hash.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CATALOGUES := $(wildcard idp/web/pages/translations/*/LC_MESSAGES/*.po)
COMPILED := $(CATALOGUES:.po=.mo)
PEER_RELYING_PARTY := tests/support/openid_client
PEER_PROVIDER := tests/bench/peer
OLDEST_POSTGRES ?= /usr/lib/postgresql/15/bin
# The tests of a file share engines and processes, so they stay on one worker; two workers halve the waiting.
PYTEST_ARGS ?= -n 2 --dist loadfile

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
say = @printf '\n== %s\n'

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# -- the environment ---------------------------------------------------------------------------------------------

.PHONY: environment
environment: $(VENV)/.complete ## create .venv from the pinned requirements

$(VENV)/.complete: requirements/dev.txt pyproject.toml
	$(say) 'environment: looking for Python 3.11 or newer'
	@$(PYTHON) -c 'import sys; print("   Python", sys.version.split()[0]); sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Python 3.11 or newer is needed. Install it, or name one: make PYTHON=/path/to/python3.12'; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  echo '   making $(VENV)'; rm -rf $(VENV); $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo 'This Python cannot make environments. On Debian and Ubuntu: apt-get install python3-venv'; exit 1; }; }
	$(say) 'environment: installing the pinned packages, each checked by its hash (minutes on a slow line)'
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes --requirement requirements/dev.txt
	$(say) 'environment: installing this checkout'
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# -- run ---------------------------------------------------------------------------------------------------------

.PHONY: run
run: environment messages ## run the provider and two portals with engines and demo data of their own
	@exec $(BIN)/idp demo

# -- test --------------------------------------------------------------------------------------------------------

.PHONY: test
test: environment lint types imports messages browser-ready oldest-ready proxies-ready node-ready ## everything that CI runs
	$(say) 'tests: unit, property, protocol, migration, security, fault and browser'
	@OLDEST_POSTGRES='$(OLDEST_POSTGRES)' exec $(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: lint
lint: environment ## ruff over everything
	$(say) 'lint: ruff'
	@$(BIN)/ruff check .

.PHONY: types
types: environment ## mypy, strict
	$(say) 'types: mypy'
	@$(BIN)/mypy

.PHONY: imports
imports: environment ## the contracts between rooms and floors
	$(say) 'imports: rooms on floors'
	@$(BIN)/lint-imports

.PHONY: messages
messages: environment $(COMPILED) ## compile the message catalogues that changed

%.mo: %.po | environment
	$(say) 'messages: compiling $<'
	@$(BIN)/pybabel --quiet compile --input-file $< --output-file $@

# What tests need and Python packages do not bring: looked for, installed where apt-get may, looked for again.
# $(call see_to,WHAT,SHELL WORDS THAT FAIL WHERE IT IS MISSING,DEBIAN PACKAGES)
define see_to
@look() { $(2); }; \
look 2>/dev/null && exit 0; \
become=; test "$$(id -u)" = 0 || become='sudo -n'; \
if command -v apt-get >/dev/null && { test -z "$$become" || $$become true 2>/dev/null; }; then \
  echo '   installing with apt-get: $(3)'; \
  $$become apt-get update -qq && \
  $$become env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(3) >/dev/null; \
fi; \
look 2>/dev/null || { echo 'The tests need $(1). Install it (Debian: apt-get install $(3)), then run this again.'; exit 1; }
endef

.PHONY: browser-ready
browser-ready: ## see to it that Chromium is there
	$(say) 'browser: looking for Chromium'
	$(call see_to,Chromium,for name in chromium chromium-browser google-chrome; do command -v $$name && return; done; return 1,chromium)

.PHONY: oldest-ready
oldest-ready: ## see to it that the oldest PostgreSQL that is promised is there
	$(say) 'engines: looking for PostgreSQL 15, the oldest that is promised'
	$(call see_to,PostgreSQL 15; name its programs by OLDEST_POSTGRES=/path/to/bin where they are not in $(OLDEST_POSTGRES),\
	  $(OLDEST_POSTGRES)/postgres --version,postgresql-15)

.PHONY: proxies-ready
proxies-ready: ## see to it that nginx and HAProxy are there
	$(say) 'proxies: looking for nginx and HAProxy'
	$(call see_to,nginx,PATH="$$PATH:/usr/sbin" command -v nginx,nginx-light)
	$(call see_to,HAProxy,PATH="$$PATH:/usr/sbin" command -v haproxy,haproxy)

.PHONY: node-ready
node-ready: ## install the independent relying party that the tests drive
	@test ! -f $(PEER_RELYING_PARTY)/package.json || $(MAKE) $(PEER_RELYING_PARTY)/node_modules/.complete

%/node_modules/.complete: %/package-lock.json | environment
	$(say) 'node: looking for npm, and for Node.js 20 or newer (Playwright brings one along)'
	$(call see_to,npm and Node.js 20 or newer,\
	  command -v npm >/dev/null && $(BIN)/python -c 'from tests.support.openid_client import find_node; print("   Node.js:", find_node())',nodejs npm)
	$(say) 'node: installing the pinned packages of $*'
	@cd $* && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# -- measure and conform -----------------------------------------------------------------------------------------

# The wheel of argon2 runs on every processor, so it has no AVX2 (docs/performance.md says what that costs).
.PHONY: native-hash
native-hash: $(VENV)/.native-hash ## build argon2 for this processor: needs a C compiler and Python's headers

$(VENV)/.native-hash: requirements/native-hash.txt $(VENV)/.complete
	$(say) 'native-hash: building argon2 for this processor'
	@command -v cc >/dev/null || { echo 'A C compiler is needed, and the headers of Python. On Debian: apt-get install gcc libc6-dev python3-dev'; exit 1; }
	@rm -rf $(VENV)/native-hash && $(BIN)/python -m venv $(VENV)/native-hash
	@$(VENV)/native-hash/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes --requirement $<
	@sed -n '/^argon2-cffi-bindings==/,/[^\\]$$/p' requirements/dev.txt > $(VENV)/native-hash/source.txt
	@cd $(VENV)/native-hash && PATH="$$PWD/bin:$$PATH" CFLAGS='-O3 -march=native' bin/python -m pip wheel --disable-pip-version-check --quiet \
	  --no-cache-dir --no-build-isolation --no-deps --no-binary :all: --require-hashes --requirement source.txt --wheel-dir .
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --force-reinstall $(VENV)/native-hash/*.whl
	@$(BIN)/python -c 'import argon2; argon2.PasswordHasher().verify(argon2.PasswordHasher().hash("x"), "x")'
	@rm -rf $(VENV)/native-hash && touch $@

.PHONY: bench
bench: environment messages ## CPU per operation; PEER=1 measures npm oidc-provider beside it, KEEP=1 keeps the figures
	@test -z '$(PEER)' || $(MAKE) $(PEER_PROVIDER)/node_modules/.complete
	@$(MAKE) native-hash || echo '   measured with the wheel of argon2, which has no AVX2'
	$(say) 'bench'
	@exec $(BIN)/python -m tests.bench $(if $(PEER),--peer) $(if $(KEEP),--keep) $(BENCH_ARGS)

.PHONY: bench-table
bench-table: environment ## write the table in docs/performance.md from the kept figures
	@$(BIN)/python -m tests.bench.table

.PHONY: conformance
conformance: environment ## drive a running OpenID Foundation suite: SUITE=https://… ISSUER=https://… [DEMO=file of `idp demo --json`]
	@test -n '$(SUITE)' -a -n '$(ISSUER)' || { \
	  echo 'Say where the suite and the provider run: make conformance SUITE=https://localhost:8443 ISSUER=https://…'; exit 1; }
	$(say) 'conformance: preparing the clients'
	@$(BIN)/python -m tests.conformance.prepare --suite '$(SUITE)' --into var/conformance
	@set -a; . var/conformance/environment; set +a; $(BIN)/idp clients import tests/conformance/clients.json
	$(say) 'conformance: driving the suite'
	@set -a; . var/conformance/environment; set +a; \
	  $(BIN)/python -m tests.conformance.drive --suite '$(SUITE)' --issuer '$(ISSUER)' $(if $(DEMO),--demo '$(DEMO)') $(CONFORMANCE_ARGS)
	@$(BIN)/python -m tests.conformance.table

# -- upkeep ------------------------------------------------------------------------------------------------------

.PHONY: assets
assets: ## build style sheet, fonts and scripts again (needs Node.js)
	@$(MAKE) frontend/node_modules/.complete
	$(say) 'assets: building'
	@cd frontend && npm run --silent build

.PHONY: lock
lock: ## pin the requirements anew (needs uv)
	$(say) 'lock: resolving'
	@command -v uv >/dev/null || { echo 'uv is needed here: python3 -m pip install uv'; exit 1; }
	@uv pip compile pyproject.toml $(LOCK_ARGS) --output-file requirements/prod.txt >/dev/null
	@uv pip compile pyproject.toml --group dev $(LOCK_ARGS) --output-file requirements/dev.txt >/dev/null
	@printf 'hatchling\n' | uv pip compile - --constraint requirements/dev.txt $(LOCK_ARGS) --output-file requirements/build.txt >/dev/null
	@printf 'cmake\nninja\nscikit-build-core\nsetuptools-scm\n' | \
	  uv pip compile - --constraint requirements/dev.txt $(LOCK_ARGS) --output-file requirements/native-hash.txt >/dev/null
	@! grep -n '://' requirements/*.txt || { echo 'A lock file names an address; it must not.'; exit 1; }

LOCK_ARGS = --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

.PHONY: clean
clean: ## remove what was made here, the data of the embedded engines included
	rm -rf var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find idp clients migrations tests -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf $(VENV) frontend/node_modules $(PEER_RELYING_PARTY)/node_modules $(PEER_PROVIDER)/node_modules
