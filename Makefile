# What a person types. On a fresh machine each target prepares what it needs.
#
#   make serve   application on 127.0.0.1:8000, health endpoints on 127.0.0.1:9201
#   make test    the whole suite, in several processes (ARGS="-n 0": in one);
#                ARGS="-k word" passes words on to pytest, which needs one process then
#   make bench   benchmarks beside the peers
#   make lint    ruff, mypy, import rules, missing migrations, promtool where it is installed
#   make structure   what lies in each folder, and who imports whom
#
# PYTHON=python3.13 VENV=.venv-3.13 choose another interpreter and its folder;
# CONSTRAINTS=constraints.txt VENV=.venv-oldest the oldest versions that are supported.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
CONSTRAINTS ?=

PY := $(VENV)/bin/python
RUNTIME := $(VENV)/.runtime-installed
DEVELOPMENT := $(VENV)/.development-installed
INSTALL := $(PY) -m pip --disable-pip-version-check --quiet install \
  $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))

# A dump of a run directory of its own, in which a process has left some figures.
define CHECK_DUMP
dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && export SENTINEL_RUN_DIR="$$dir/run" && \
$(PY) manage.py shell -v 0 -c 'from metrics.registry import METRICS as m; \
m.record_request("echo", "error", 0.1); m.record_rate_limit_hit("echo")' && \
$(PY) manage.py dump_metrics | promtool check metrics && echo "promtool: the dump is clean"
endef

.DELETE_ON_ERROR:
.PHONY: serve test bench lint structure clean

serve: $(RUNTIME)
	mkdir -p "$${SENTINEL_VAR_DIR:-var}"
	$(PY) manage.py migrate --noinput --verbosity 0
	$(PY) manage.py collectstatic --noinput --verbosity 0
	exec $(PY) manage.py serve $(ARGS)

# The tests start hundreds of processes, which need not all compile the same modules.
test: $(DEVELOPMENT)
	PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -n auto --dist worksteal $(ARGS)

bench: $(DEVELOPMENT)
	$(PY) -m benchmarks $(ARGS)

lint: $(DEVELOPMENT)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(PY) manage.py makemigrations --check --dry-run
	$(PY) manage.py check --fail-level WARNING
	@if command -v promtool >/dev/null; then $(CHECK_DUMP); \
	else echo "promtool is missing, the dump is not checked: apt-get install prometheus"; fi

structure: $(DEVELOPMENT)
	@$(PY) -m tools.structure

clean:
	rm -rf .venv* .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is older than 3.11; name another: make PYTHON=python3.13" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements.txt $(CONSTRAINTS) | $(PY)
	$(INSTALL) -r requirements.txt
	touch $@

$(DEVELOPMENT): requirements.txt requirements-dev.txt $(CONSTRAINTS) | $(PY)
	$(INSTALL) -r requirements-dev.txt
	touch $@ $(RUNTIME)
