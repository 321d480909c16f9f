# Everything works in a fresh checkout with make and a Python of 3.11 or newer, and in a folder of any name:
# paths are relative, and modules are run as `.venv/bin/python -m`, never through a script's #! line.
# A stamp in .venv says that a set of packages is installed; once setup.cfg or constraints.txt is newer, it no longer holds.

PYTHON ?=
ARGS ?=

PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -q
INSTALL := $(PIP) install -c constraints.txt
BENCH_PY := .venv-bench/bin/python
BENCH_PIP := $(BENCH_PY) -m pip --disable-pip-version-check -q
PINS := setup.cfg pyproject.toml constraints.txt
TORCH := torch==2.13.0
# As pip does for what it copies: where PYTHONDONTWRITEBYTECODE is set, every experiment would compile the library anew.
COMPILE := $(PY) -m compileall -q configmill

# The first Python that is new enough and can make a virtual environment; PYTHON=... on the command line goes first.
FIND_PYTHON := for python in $(PYTHON) python3.11 python3 python3.12 python3.13 python3.14 python; do \
	  if "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	  then found=$$python; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo "Configmill needs Python 3.11 or newer with venv, and found none: install one (on Debian and Ubuntu:" >&2; \
	  echo "apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi

.DEFAULT_GOAL := help
.PHONY: help demo test test-gpu setup check bench constraints clean

help:  ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS='	' read -r target what; do \
	  printf '  make %-12s %s\n' "$$target" "$$what"; \
	done

demo: .venv/.core  ## Run the forecasting example, print its five best configs, publish notebooks of the best three
	$(PY) run_experiment.py \
	  --experiment_builder experiments.forecasting.run_experiment \
	  --config_builder "config_builders.forecasting.build_ar_configs()" \
	  --dst_dir out/forecast --num_threads 2
	@echo
	@echo "The five best of out/forecast, by mean absolute scaled error:"
	@$(PY) -m configmill results out/forecast --sort mase --top 5
	@echo
	@echo "All results, compared in a notebook:"
	$(PY) run_notebook.py --notebook notebooks/compare_forecasts.ipynb \
	  --config_builder "config_builders.forecasting.build_comparison('out/forecast')" \
	  --dst_dir out/comparison --no_incremental --publish_notebook
	@echo
	@echo "The best three, looked at closely in notebooks:"
	$(PY) run_notebook.py --notebook notebooks/forecasting.ipynb \
	  --config_builder "config_builders.forecasting.build_ar_configs()" \
	  --indices "$$($(PY) -m configmill results out/forecast --sort mase --top 3 --only_indices)" \
	  --dst_dir out/notebooks --num_threads 2 --publish_notebook
	@echo
	@echo "To open in a browser:"
	@echo "  out/notebooks/report/index.html                  the notebooks of the best three"
	@echo "  out/comparison/result_0/compare_forecasts.html   all results, compared"
	@echo "  out/forecast/report/index.html                   all experiments"
	@echo "A directory per config, with its log and its artifacts: out/forecast/result_<index>"

test: .venv/.test  ## Run the tests (ARGS="-k name" is handed to pytest); Chromium is installed where it may be
	@$(PY) -m tests.browser
	$(PY) -m pytest $(ARGS)

# First whether there is a GPU at all: torch is a download of gigabytes.
test-gpu: .venv/.test  ## Check on a real, idle GPU what the tests can only pretend (ARGS is handed to pytest)
	$(PY) -m tests.real_gpu
	@$(MAKE) --no-print-directory .venv/.all
	$(PY) -m pytest tests/real_gpu --verbose --timeout 600 $(ARGS)

setup: .venv/.all  ## Install everything into .venv, torch and the development tools included
	@echo "Ready. Use it with: source .venv/bin/activate"

check: .venv/.test  ## Lint, format check, types and import contracts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command(["--no-logo"])'

bench: .venv-bench/.ready  ## Measure beside other tools, 40 minutes, into benchmarks/RESULTS.md (ARGS="--quick": a look)
	$(BENCH_PY) -m benchmarks $(ARGS)

# Resolves anew and writes what came out; the CPU build of torch and the full one have the same version.
constraints: | $(PY)  ## Resolve all dependencies anew and write constraints.txt
	rm -rf .venv-constraints
	$(PY) -m venv .venv-constraints
	.venv-constraints/bin/python -m pip --disable-pip-version-check -q install $(TORCH)
	.venv-constraints/bin/python -m pip --disable-pip-version-check -q install '.[llm,forecast,dev]'
	{ echo "# Tested versions of everything in setup.cfg and its extras, but for bench. Made by: make constraints"; \
	  .venv-constraints/bin/python -m pip --disable-pip-version-check freeze --exclude configmill \
	    | sed 's/+[A-Za-z0-9.]*$$//' | LC_ALL=C sort -f; } > constraints.new
	mv constraints.new constraints.txt
	rm -rf .venv-constraints build configmill.egg-info

clean:  ## Remove .venv, .venv-bench, caches and build files (results under out/ stay)
	rm -rf .venv .venv-constraints .venv-bench build dist configmill.egg-info
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@$(FIND_PYTHON); echo "Making .venv with $$("$$found" --version)"; \
	"$$found" -m venv .venv || { rm -rf .venv; exit 1; }

.venv/.core: $(PINS) | $(PY)
	$(INSTALL) -e '.[forecast]'
	$(COMPILE)
	@touch $@

.venv/.test: $(PINS) | $(PY)
	$(INSTALL) -e '.[forecast,dev]'
	$(COMPILE)
	@touch .venv/.core $@

# torch first and alone: pip then leaves the build that is there, whichever it is, as it is.
.venv/.all: $(PINS) | $(PY)
	$(INSTALL) $(TORCH)
	$(INSTALL) -e '.[llm,forecast,dev]'
	$(COMPILE)
	@touch .venv/.core .venv/.test $@

# The peers are in an environment of their own: some want other versions than Configmill was tested with. One by one,
# since one that can't be installed is a gap in the tables, and no reason to measure nothing.
.venv-bench/.ready: $(PINS)
	@$(FIND_PYTHON); echo "Making .venv-bench with $$("$$found" --version)"; "$$found" -m venv .venv-bench
	$(BENCH_PIP) install -c constraints.txt $(TORCH)
	$(BENCH_PIP) install -c constraints.txt -e '.[llm,forecast]'
	@$(BENCH_PY) -c 'import configparser; setup = configparser.ConfigParser(); setup.read("setup.cfg"); \
	  print(setup["options.extras_require"]["bench"].strip())' | while read -r peer; do \
	  echo "Installing $$peer"; $(BENCH_PIP) install "$$peer" </dev/null \
	    || echo "$$peer could not be installed: the tables will have a gap" >&2; \
	done
	$(BENCH_PY) -m compileall -q configmill benchmarks
	@touch $@
