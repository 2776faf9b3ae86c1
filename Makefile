# make install | demo | test | lint, with Python 3.11, 3.12 or 3.13. Each installs what it needs first, and only once.
# make PYTHON=python3.13 VENV=.venv-3.13 test: another Python, beside the first.
VENV := .venv
BIN := $(VENV)/bin
# What VENV was made with, or else the first that starts: a name on the path may be a shim with nothing behind it.
PYTHON ?= $(shell for name in $(BIN)/python python3.11 python3.12 python3.13 python3; do \
	"$$name" -c '' 2>/dev/null && echo "$$name" && break; done)
VERSION := $(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
SUPPORTED := 3.11 3.12 3.13
CONSTRAINTS := constraints.txt
EXTRAS := dev
OPTIONAL := dask ffmpeg int8 remote tensorboard
STAMP := $(VENV)/.installed-$(VERSION)

# The way from files to a report, on the command line too, without the heads' and networks' own tests.
QUICK := tests/base tests/audio tests/data tests/scoring tests/reporting tests/cli tests/test_package.py tests/backbones/test_timm_image.py \
	tests/embeddings/test_store.py tests/embeddings/test_embed.py tests/verbs/test_extract.py tests/verbs/test_probe.py

.PHONY: install demo test test-quick test-faults test-mutations soak coverage mutants figures exports families docs docs-run gpu gpu-wheels lowest lint format constraints plotly python clean
.DELETE_ON_ERROR:

install: $(STAMP)

python:
	@$(if $(filter $(VERSION),$(SUPPORTED)),:,$(error soundprobe is tested on Python $(SUPPORTED), and '$(PYTHON)' is $(or $(VERSION),none that starts). Say which: make PYTHON=/path/to/python3.11))

# A folder of another Python's is made anew: its stamp bears the version and goes with it.
$(STAMP): pyproject.toml $(CONSTRAINTS) | python
	$(BIN)/python -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(VERSION)")' 2>/dev/null \
		|| "$(PYTHON)" -m venv --clear $(VENV)
	PIP_CONSTRAINT=$(CURDIR)/$(CONSTRAINTS) $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-compile --editable ".[$(EXTRAS)]"
	touch $@

demo: install
	$(BIN)/soundprobe demo

# Workers take files in the order of tests/conftest.py.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: install
	$(PYTEST)

test-quick: install
	$(PYTEST) $(QUICK)

# Lines and branches of what holds docs/guarantees.md, by the tests that are theirs: see [tool.coverage] in pyproject.toml.
COVERED := tests/audio tests/backbones/weights tests/base tests/data tests/scoring/test_folds.py tests/embeddings/test_store.py \
	tests/verbs/test_extract.py tests/verbs/test_probe.py tests/cli/test_data_check.py tests/test_damaged_records.py
coverage: install
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest $(COVERED)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

# Each operator and number of scoring/folds.py and scoring/paired_tests.py changed in turn: do their tests notice?
mutants: install
	$(BIN)/python tools/mutants.py

# make test-mutations N=1000000 ONLY=record SEED=1: what is read, mutated; see tests/faults/mutate.py.
N ?= 100000
test-mutations: install
	$(BIN)/python tests/faults/mutate.py $(N) $(if $(ONLY),--only $(ONLY)) $(if $(SEED),--seed $(SEED))

# 20,000 clips through extract: flat memory and open files; fails where they aren't.
soak: install
	$(BIN)/python tests/faults/soak.py

# The tables of README and docs that stand between marks, hours of computing; goes on where it was stopped, and fails
# where a figure is off. make figures WHICH=quick: a minute; WHICH=schedule/: those whose name begins so.
figures: install
	$(BIN)/python docs/figures.py run $(WHICH)

# The site of docs/ into site/, without a warning; then what the docs' test only parses, and links that lead outside.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	$(BIN)/python tests/doc_blocks.py
	@echo; echo "Links that lead outside, not followed:"
	@grep -hoE 'https?://[^ )>`"]+' README.md CHANGELOG.md docs/*.md | sort -u

# All commands and blocks of README and docs that can be run here, the slow ones too.
docs-run: install
	SOUNDPROBE_DOCS=all $(BIN)/python -m pytest -q -s --timeout 3600 tests/test_docs.py

# One report of mn04, a tiny model of each family of transformers and others: make families DATA=UrbanSound8K/ MN04=mn04_as_mAP_432.pt
families: install
	$(BIN)/python benchmarks/families.py --data "$(DATA)" $(if $(MN04),--weights "$(MN04)")

# What exported graphs give beside their runs on real clips: make exports DATA=UrbanSound8K/ MN04=mn04_as_mAP_432.pt
exports: install
	$(BIN)/python benchmarks/exports.py --data "$(DATA)" $(if $(MN04),--weights "mn04=$(MN04)")

# What a GPU makes of it all, in under 8 minutes: gpu.json and gpu.md. PYTHON is the one that has torch and transformers;
# nothing is installed. The wheels are for the other machine's Python, x86-64 Linux.
gpu:
	"$(PYTHON)" benchmarks/gpu.py

GPU_PYTHON := 3.12
gpu-wheels: install
	$(BIN)/python benchmarks/gpu.py --list | xargs $(BIN)/python -m pip download --quiet --no-deps --only-binary=:all: \
		--python-version $(GPU_PYTHON) --implementation cp $(foreach v,5 17 24 26 27 28 34 35,--platform manylinux_2_$(v)_x86_64) \
		--platform manylinux2014_x86_64 --constraint $(CONSTRAINTS) --dest gpu-wheels
	du -sh gpu-wheels

# The same tests with the oldest libraries that pyproject.toml admits, in an environment of its own, on Python 3.11 or 3.12.
lowest:
	$(MAKE) VENV=.venv-lowest CONSTRAINTS=constraints-lowest.txt EXTRAS=dask,ffmpeg,int8,remote,tensorboard,test SUPPORTED="3.11 3.12" install
	.venv-lowest/bin/python -m pytest $(QUICK) --deselect tests/cli/test_cli.py::test_every_installed_package_is_pinned

# Every point at which a command is killed, cut off from its disk or stopped, and states after a power cut; hours. Goes on with
# SEED=4, say. FAULTS="--points 500" draws as many.
test-faults: install
	OMP_NUM_THREADS=1 PYTHONPATH=tests:tests/faults $(BIN)/python tests/faults/harness.py --seed $(or $(SEED),0) --seeds 5 --power 100 --jobs 2 $(FAULTS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Adds what pyproject.toml asks for and drops what it no longer does, for every Python and system, and keeps all other pins.
# To move one: make constraints UV="--upgrade-package torch". The lowest are direct dependencies at their floors, the rest as
# they go with these.
RESOLVE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate pyproject.toml
constraints: install
	$(RESOLVE) --all-extras $(UV) --output-file constraints.txt
	$(RESOLVE) --resolution lowest-direct $(OPTIONAL:%=--extra %) --output-file .lowest
	$(RESOLVE) $(OPTIONAL:%=--extra %) --extra test --constraint .lowest --output-file constraints-lowest.txt
	rm .lowest

# Builds the plotly.js of report.html again (needs npm) and checks its digest; see tools/build_plotly.py.
plotly:
	"$(PYTHON)" tools/build_plotly.py

clean:
	rm -rf $(VENV) .venv .venv-* dist build site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
