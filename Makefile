# make demo   a fresh clone -> .venv -> demo.wav
# make test   everything that must hold: lint, types, tests
# Needs python3 (3.11 or newer) and make, nothing else.

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable
PROMPT := a bossa nova with flute and nylon guitar, 120 bpm

.PHONY: demo test lint clean

demo: $(VENV)/.installed
	$(BIN)/counterpoint generate "$(PROMPT)" --seconds 10 -o demo.wav

test: lint
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

$(BIN)/python:
	@for python in python3.13 python3.12 python3.11 python3; do \
	    if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        $$python -m venv $(VENV) && exit 0; \
	    fi; \
	done; \
	echo "There is no python3 of version 3.11 or newer with venv: install it (on Debian: apt install python3 python3-venv)." >&2; \
	exit 2

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV) (a few minutes the first time)"
	$(INSTALL) .
	@touch $@

$(VENV)/.installed-for-tests: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing with test extras into $(VENV) (a few minutes the first time)"
	$(INSTALL) ".[test]"
	@touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) demo.wav
