# make demo: the whole job on a rendered recording. make test: the tests. Both make the virtual environment first.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-slow test-backends lint coverage update clean-demo

demo: $(VENV)/.installed
	sh data/demo/demo.sh $(VENV)/bin/python

test: $(VENV)/.installed-tests
	$(VENV)/bin/python -m pytest -q -n 2 --dist worksteal -m "not slow" tests

test-slow: $(VENV)/.installed-tests
	$(VENV)/bin/python -m pytest -q -m slow tests
	$(VENV)/bin/python -m pytest -q -m hypothesis --hypothesis-profile new tests

# Keras on TensorFlow, jax and torch, and training shared by two devices.
test-backends: $(VENV)/.installed-tests
	$(PIP) -r tests/requirements-backends.txt
	$(VENV)/bin/python -m pytest -q tests/training/test_backends.py tests/training/test_devices.py

lint: $(VENV)/.installed-lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# Prints the share of the lines of vidclass and the commands that the tests reach, and the lines that they don't.
coverage: $(VENV)/.installed-tests $(VENV)/.installed-lint
	$(VENV)/bin/python -m pytest -q -n 2 --dist worksteal -m "not slow" --cov --cov-report=term-missing tests

# Chooses the newest versions. Run make test with them before you commit constraints.txt.
update: $(VENV)/.installed-tests
	$(VENV)/bin/python .ci/update_constraints.py

clean-demo:
	cd data/demo && rm -rf train test sequences checkpoints logs reports data_file.csv clips.csv labels.csv Football.mp4 \
		result.avi result.csv result.html result.png train.log

$(VENV)/.installed: requirements.txt constraints.txt setup_venv.sh
	sh setup_venv.sh $(PYTHON) $(VENV)
	touch $@

$(VENV)/.installed-tests: $(VENV)/.installed tests/requirements.txt requirements-ray.txt
	$(PIP) -r tests/requirements.txt
	touch $@

$(VENV)/.installed-lint: $(VENV)/.installed tests/requirements-lint.txt
	$(PIP) -r tests/requirements-lint.txt
	touch $@
