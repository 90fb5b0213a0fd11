"""extractor.py: batches, streams, image files, on the network with random weights."""

import threading

import cv2
import numpy as np
import pytest

from extractor import BYTES_PER_PIXEL, _batch_size
from vidclass.video.images import read_image


@pytest.mark.parametrize(
    "memory_gib, size, most", [(24, 299, 16), (24, 720, 3), (1, 720, 1), (1, 75, 128), (24, 20000, 1)]
)
def test_batches_fit_the_memory(monkeypatch, memory_gib, size, most):
    """A batch is what the processor needs and an eighth of the memory holds, at least one image."""
    monkeypatch.setattr("vidclass.memory.memory_limit", lambda: memory_gib * 2**30)
    batch_size = _batch_size(size * size)
    assert 1 <= batch_size <= most
    held = 2 * batch_size * size * size * BYTES_PER_PIXEL
    assert batch_size == 1 or held <= memory_gib * 2**30 / 8


def test_no_images(random_extractor):
    assert random_extractor.extract_batch(np.zeros((0, 96, 128, 3), np.uint8)).shape == (0, 2048)


def test_one_image_a_file_and_a_batch_agree(random_extractor, photos, tmp_path):
    batch = random_extractor.extract_batch(photos)
    np.testing.assert_allclose(random_extractor.extract_image(photos[3]), batch[3], rtol=1e-3, atol=1e-3)
    cv2.imwrite(str(tmp_path / "photo.png"), photos[3][..., ::-1])
    found = random_extractor.extract(tmp_path / "photo.png")
    assert found.shape == (2048,)
    np.testing.assert_allclose(found, batch[3], rtol=1e-3, atol=1e-3)
    assert np.abs(random_extractor.extract_image(photos[3][..., ::-1]) - batch[3]).max() > 0.05  # not BGR


def test_other_sizes_are_resized(random_extractor, photos):
    large = cv2.resize(photos[0], (640, 480), interpolation=cv2.INTER_CUBIC)
    a, b = random_extractor.extract_image(large), random_extractor.extract_image(photos[0])
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.99
    with pytest.raises(ValueError, match="480, 640"):
        random_extractor.extract_batch(large[None])


def test_stream_keeps_order_over_batches(random_extractor, photos):
    count = 2 * random_extractor.batch_size + 3
    source = ((number, photos[number % 5]) for number in range(count))
    expected = random_extractor.extract_batch(photos)
    for number, (tag, features) in enumerate(random_extractor.stream(source)):
        assert tag == number
        np.testing.assert_allclose(features, expected[number % 5], rtol=1e-3, atol=1e-3)
    assert number == count - 1
    assert list(random_extractor.stream(iter(()))) == []


def test_stream_passes_errors_on_and_ends_its_thread(random_extractor, photos):
    def source():
        yield 0, photos[0]
        raise OSError("the disk is gone")

    before = threading.active_count()
    with pytest.raises(OSError, match="the disk is gone"):
        list(random_extractor.stream(source()))
    endless = random_extractor.stream((i, photos[0]) for i in iter(int, 1))
    next(endless)
    endless.close()
    assert threading.active_count() == before


def test_not_an_image(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 no")
    (tmp_path / "empty.jpg").touch()
    for name in ("bad.jpg", "empty.jpg"):
        with pytest.raises(ValueError, match=f"{name}: not a readable image"):
            read_image(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.jpg")
