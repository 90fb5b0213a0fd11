"""Loading Keras and its backend: quietly, and no more of it than is needed."""

import contextlib
import importlib
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from importlib.machinery import ModuleSpec

# TensorFlow greets on stderr with notices about CPUs and missing GPUs; an error of ours must not drown in
# them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# It warns of functions that are traced anew, which those of several networks are.
logging.getLogger("tensorflow").addFilter(lambda record: "tf.function retracing" not in record.getMessage())


def import_keras(and_tensorflow: bool = False) -> None:
    """Imports keras without the notices that TensorFlow's C++ writes straight to stderr, past any log level.

    And without scikit-learn: Keras would load it for its wrappers (1.5 s of processor time beside its own 4
    s), which no script uses. Whoever asks for keras.wrappers gets them, with scikit-learn. and_tensorflow:
    also where it is not the backend, for what needs it all the same.
    """
    if "keras" not in sys.modules:
        with muted(), _without_sklearn():
            import keras
        _load_at_first_use(keras, "wrappers")
    if and_tensorflow and "tensorflow" not in sys.modules:
        with muted():
            import tensorflow  # noqa: F401


@contextlib.contextmanager
def _without_sklearn():
    """A `with` block in which this thread, no other one, can't load scikit-learn."""
    finder = _SklearnRefuser()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _SklearnRefuser:
    """What Python's import system asks first: in the thread that made it, scikit-learn is not there."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        # An error here would reach torch, which asks where it would find scikit-learn and doesn't load it.
        is_refused = name == "sklearn" and threading.get_ident() == self._thread
        return ModuleSpec(name, self) if is_refused else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        raise ModuleNotFoundError("not needed now", name=spec.name)

    def exec_module(self, module: object) -> None:
        """Never called: no module is made."""


def _load_at_first_use(package, name):
    """Forgets a module of Keras's, which was loaded without what it wants, so that it is loaded again when
    someone asks for it."""

    def load(asked):
        if asked != name:
            raise AttributeError(f"module {package.__name__!r} has no attribute {asked!r}")
        return importlib.import_module(f"{package.__name__}.{name}")

    for loaded in list(sys.modules):
        if re.fullmatch(rf"{package.__name__}(\.src|\._tf_keras\.keras)?\.{name}(\..*)?", loaded):
            del sys.modules[loaded]
    if vars(package).pop(name, None) is not None and not hasattr(package, "__getattr__"):
        package.__getattr__ = load


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """A `with` block in which what libraries in C++ write straight to the process's stderr goes nowhere. What
    Python writes to sys.stderr does not."""
    sys.stderr.flush()
    python, stderr = sys.stderr, os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        if python is sys.__stderr__:
            sys.stderr = os.fdopen(os.dup(stderr), "w", buffering=1, errors="backslashreplace")
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        sys.stderr = python  # the other one stays open: what was imported meanwhile may have kept it
        os.close(stderr)
        os.close(null)
