"""extract_features.py --shard: whatever a run finds out, in whatever order they run, each clip is one
shard's."""

import pytest
from conftest import HEIGHT, LENGTH, WIDTH, count_frames
from helpers import ffmpeg

from extract_features import ExtractionJob, extract_features
from vidclass.dataset.data_file import read_data_file
from vidclass.features.sequence_store import FolderStore
from vidclass.video.probe import probe

CLIPS = 13


@pytest.fixture(scope="module")
def lying(tmp_path_factory):
    """A folder of clips that were cut without encoding them anew: their headers count the frames from the key
    frame before, which are not shown. One shows too few for a sequence. With the frames of each as ffmpeg
    decodes them."""
    folder = tmp_path_factory.mktemp("lying")
    match, key_frames = folder / "match.mp4", "-pix_fmt yuv420p -g 50 -bf 0 -x264-params scenecut=0"
    ffmpeg("-f lavfi -i testsrc2=size=96x80:rate=25:duration=20", key_frames, match)
    frames = {}
    for number in range(CLIPS):
        path = folder / f"data/train/{'AB'[number % 2]}/clip_{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        start, seconds = number * 1.36 + 0.1, (0.2 if number == 5 else 0.4 + number * 0.04)
        ffmpeg(f"-ss {start:.2f}", "-i", match, f"-t {seconds:.2f} -c copy", path)
        frames[path.stem] = count_frames(path)
    assert sum(probe(path).frames != frames[path.stem] for path in folder.rglob("clip_*.mp4")) > CLIPS / 2
    assert frames["clip_5"] < LENGTH <= probe(folder / "data/train/B/clip_5.mp4").frames
    match.unlink()
    return folder, frames


@pytest.fixture
def saved(lying, monkeypatch):
    """The clips whose sequences are saved, one after another. There are no notes on them and no list yet."""
    names = []
    save = FolderStore.save
    monkeypatch.setattr(
        FolderStore,
        "save",
        lambda self, clip, features: names.append(clip.name) or save(self, clip, features),
    )
    for path in [*lying[0].rglob("*.npy"), *lying[0].rglob("*.json"), *lying[0].rglob("*.csv")]:
        path.unlink()
    return names


def extract(folder, number, count):
    job = ExtractionJob(folder / "data", "random", from_video=True, shard=(number, count), quiet=True)
    return extract_features(LENGTH, 2, (HEIGHT, WIDTH, 3), job).failed


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1)])
def test_headers_that_lie_do_not_move_clips_to_another_shard(lying, saved, order):
    folder, frames = lying
    failed = sum(extract(folder, number, 3) for number in order)
    assert sorted(saved) == sorted(set(frames) - {"clip_5"}) and failed == 1
    assert {row.name: row.frames for row in read_data_file(folder / "data")} == frames


def test_shards_that_meet(lying, saved, monkeypatch):
    """One has chosen its clips when three others come and are done before it goes on."""
    folder, frames = lying
    missing, others = FolderStore.missing, [4, 2, 3]

    def wait(self, rows):
        arrived = [others.pop() for _ in list(others)]
        for number in arrived:
            extract(folder, number, 4)
        return missing(self, rows)

    monkeypatch.setattr(FolderStore, "missing", wait)
    extract(folder, 1, 4)
    assert not others and sorted(saved) == sorted(set(frames) - {"clip_5"})
