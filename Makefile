# Two commands do everything: `make run` starts the page, `make test` runs every test.
# `make check` is the quick look before a commit: lint, format, import table, fast tests.

# A name may be on the PATH and still not run (a version manager's shim), so each is tried.
PYTHON := $(shell for p in python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo -n)
APT := $(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get
apt_install = { $(APT) update -qq && $(APT) install -qq -y --no-install-recommends $(1); }
give_up = { echo "$(1)" >&2; exit 2; }
BIN := .venv/bin

.PHONY: run test check check-oldest chromium deploy

run: .venv/run.stamp
	$(BIN)/python app.py

# Two processes with a thread each: many tests wait for a browser or a server rather than compute.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist

# A browser that crashes, or waits in vain on a busy machine, gets a second try, which the summary names; else nothing.
test: .venv/dev.stamp chromium
	$(PYTEST) loadfile --reruns 1 --only-rerun '^(TimeoutError: (Page|Locator)|TargetClosedError)' -rfER

check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST) worksteal -m "not slow and not browser"

# The everyday tests with the oldest torch that ZeroGPU has, in an environment of its own; needs Python 3.12.
check-oldest:
	python3.12 -m venv .venv-oldest
	sed '/^torch==/d' constraints.txt > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install -q torch==2.8.0 $(if $(TORCH_INDEX),-i $(TORCH_INDEX))
	.venv-oldest/bin/python -m pip install -q -c .venv-oldest/constraints.txt -e '.[dev]'
	OMP_NUM_THREADS=1 .venv-oldest/bin/python -m pytest -q -n 2 -m "not slow and not browser"

# Puts this repository on a Space: make deploy SPACE=owner/name, with DRY_RUN=1 to see what would go and be removed,
# with REPLACE=1 where the Space holds another program.
deploy: .venv/run.stamp
	@test -n "$(SPACE)" || $(call give_up,Say which Space: make deploy SPACE=owner/name)
	$(BIN)/python -m huvidpo.deploy $(SPACE) $(if $(DRY_RUN),--dry-run) $(if $(REPLACE),--replace)

.venv/run.stamp: requirements.txt constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || $(call give_up,Python 3.11 or 3.12 is needed; try: apt-get install python3.11 python3.11-venv)
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(call apt_install,$(notdir $(PYTHON))-venv) \
		|| $(call give_up,Python has no venv module; try: apt-get install $(notdir $(PYTHON))-venv)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e .
	@touch $@

.venv/dev.stamp: .venv/run.stamp
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	@touch $@

# Debian's browser; elsewhere the one that playwright brings.
chromium: .venv/dev.stamp
	@command -v chromium >/dev/null || $(call apt_install,chromium) || $(BIN)/playwright install chromium \
		|| $(call give_up,The browser tests need Chromium; try: apt-get install chromium)
