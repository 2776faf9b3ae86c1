# make install | demo | test | lint. Each needs Python 3.11 and nothing else; a second call installs nothing.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test lint format constraints plotly clean
.DELETE_ON_ERROR:

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; v = sys.version_info[:2]; sys.exit(v != (3, 11) and f"Python 3.11 is needed, this is {v[0]}.{v[1]}. Say which: make PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m pip install --disable-pip-version-check --quiet --editable ".[dev]"
	touch $@

demo: install
	$(BIN)/soundprobe demo

test: install
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Pins what is installed now; to move to newer versions, edit constraints.txt or install them, then run this.
constraints: install
	$(BIN)/python -m pip freeze --exclude-editable --all | grep -v -i '^pip==' | sort -f > constraints.txt

# Fetches the plotly.js of report.html again (needs npm) and checks its digest; see tools/fetch_plotly.py.
plotly:
	"$(PYTHON)" tools/fetch_plotly.py

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
