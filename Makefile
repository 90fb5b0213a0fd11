# make demo: the whole job on a rendered recording. make test: the tests. Both make the virtual environment first.
PYTHON ?= python3
VENV := .venv

.PHONY: demo test test-slow test-backends clean-demo

demo: $(VENV)/.installed
	sh data/demo/demo.sh $(VENV)/bin/python

test: $(VENV)/.installed-tests
	$(VENV)/bin/python -m pytest -q -n 2 --dist loadfile -m "not slow" tests

test-slow: $(VENV)/.installed-tests
	$(VENV)/bin/python -m pytest -q -m slow tests

# Keras on TensorFlow, jax and torch, and training shared by two devices.
test-backends: $(VENV)/.installed-tests
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check -r tests/requirements-backends.txt
	$(VENV)/bin/python -m pytest -q tests/training/test_backends.py tests/training/test_devices.py

clean-demo:
	cd data/demo && rm -rf train test sequences checkpoints logs reports data_file.csv clips.csv labels.csv Football.mp4 \
		result.avi result.csv result.html result.png train.log

$(VENV)/.installed: requirements.txt setup_venv.sh
	sh setup_venv.sh $(PYTHON) $(VENV)
	touch $@

$(VENV)/.installed-tests: $(VENV)/.installed tests/requirements.txt requirements-ray.txt
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check -r tests/requirements.txt
	touch $@
