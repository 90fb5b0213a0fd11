"""Which number format --precision auto takes: by what the hardware has, and by what a measurement says."""

import numpy as np
import pytest

from extractor import Extractor
from vidclass import platform
from vidclass.features import precision

INTEL = "flags\t\t: fpu sse4_2 avx512f avx512_bf16 amx_bf16"
ARM = "Features\t: fp asimd bf16 sve"


@pytest.fixture
def machine(monkeypatch):
    """A machine of these flags, of no GPU unless told, on which bfloat16 is so many times as fast. Returns
    how often that was measured."""

    def make(flags=(), gpu=False, gain=1.0):
        measured = []
        precision._fastest.cache_clear()
        monkeypatch.setattr(platform, "cpu_flags", lambda: frozenset(flags))
        monkeypatch.setattr(precision, "has_gpu", lambda: gpu)
        monkeypatch.setattr(precision, "measure_gain", lambda: measured.append(gain) or gain)
        return measured

    yield make
    precision._fastest.cache_clear()


@pytest.mark.parametrize(
    "hardware",
    [{"flags": ["avx2", "avx512_bf16"]}, {"flags": ["amx_bf16"]}, {"flags": ["bf16"]}, {"gpu": True}],
)
def test_hardware_that_has_bfloat16_takes_it_if_it_is_faster(machine, hardware, capsys):
    measured = machine(**hardware, gain=1.9)
    assert precision.resolve("auto") == precision.resolve("auto") == "bfloat16"
    assert measured == [1.9]
    assert capsys.readouterr().err.count("in bfloat16, 1.9 times as fast as float32 here") == 1
    machine(**hardware, gain=1.1)
    assert precision.resolve("auto") == "float32"
    assert capsys.readouterr().err == ""


def test_other_hardware_is_not_measured(machine):
    measured = machine(["avx2", "avx512f"], gain=1.9)
    assert precision.resolve("auto") == "float32" and measured == []


@pytest.mark.parametrize("asked", ["float32", "bfloat16", "float16"])
def test_what_is_asked_for_is_taken(machine, asked):
    assert machine(gpu=True, gain=1.9) == [] and precision.resolve(asked) == asked


def test_the_measurement_is_a_ratio():
    assert 0.01 < precision.measure_gain() < 100


def test_an_extractor_says_what_it_computes_in(machine):
    machine(["amx_bf16"], gain=2)
    extractor = Extractor((75, 75, 3), "random", "auto")
    assert extractor.precision == "bfloat16"
    images = np.random.default_rng(0).integers(0, 256, (2, 75, 75, 3), dtype=np.uint8)
    asked = Extractor((75, 75, 3), "random", "bfloat16")
    np.testing.assert_array_equal(extractor.extract_batch(images), asked.extract_batch(images))


@pytest.mark.parametrize("line, flag", [(INTEL, "avx512_bf16"), (ARM, "bf16")])
def test_flags_of_the_processor(tmp_path, line, flag):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"processor\t: 0\nmodel name\t: bf17\n{line}\n\n" * 2)
    assert flag in platform.cpu_flags(tmp_path) and "bf17" not in platform.cpu_flags(tmp_path)
    assert platform.cpu_flags(tmp_path / "nowhere") == frozenset()
