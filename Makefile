PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart check test thorough clean

quickstart: .venv/train
	$(BIN)/python -m studies.quickstart

# Five minutes on two cores: what needs no training.
check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not thorough"

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	# The two files that take longest come first, so that no process waits for them at the end.
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 20 -m "not thorough" \
		tests/test_readme.py tests/test_backend.py tests

# What `test` leaves out: what its tests show, once more on JAX and for further kinds.
thorough: .venv/test
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations 20 -m thorough

# A stamp is made anew, and the packages with it, when setup.py has changed.
.venv/test: setup.py | .venv
	$(BIN)/python -m pip install -e '.[train,test]'
	touch .venv/test .venv/train

.venv/train: setup.py | .venv
	$(BIN)/python -m pip install -e '.[train]'
	touch $@

.venv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "$(PYTHON) is not Python 3.11 to 3.13: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
