"""groups.py: which recording and which stretch of it a clip comes from."""

import pytest

from vidclass.dataset.data_file import Clip
from vidclass.dataset.groups import Origin, find_origins

MARK, OTHER = "5-" + "a" * 32, "5-" + "b" * 32  # fingerprints


def write_clips_csv(folder, *rows):
    """Rows of (split, class, clip, recording, start of the label, fingerprint), as cut_clips.py writes
    them."""
    folder.mkdir(exist_ok=True)
    lines = [
        f"{split},{name},{clip},{path},{start},{start},75,9999,{mark}"
        for split, name, clip, path, start, mark in rows
    ]
    (folder / "clips.csv").write_text("".join(f"{line}\n" for line in lines), "utf-8", "surrogateescape")


def origins(folder, *names, split="train"):
    """[Origin or None] of clips of class A."""
    clips = [Clip(split, "A", name, 75) for name in names]
    found = find_origins(folder, clips)
    assert set(found) <= set(clips)
    return [found.get(clip) for clip in clips]


def test_clips_that_were_cut_know_recording_and_stretch(tmp_path):
    write_clips_csv(
        tmp_path,
        ("train", "A", "A_train_1", "/v/match.mp4", "12.5", MARK),
        ("train", "A", "A_train_2", "/v/match.mp4", "12.50", MARK),
        ("train", "A", "A_train_3", "/v/match.mp4", "90.0", MARK),
        ("test", "A", "A_test_1", "/v/match.mp4", "90.0", MARK),
    )
    found = origins(tmp_path, "A_train_1", "A_train_2", "A_train_3", "A_train_4", "A_test_1")
    early, late = (Origin("match.mp4", f"match.mp4 from {start} s") for start in (12.5, 90.0))
    assert found == [early, early, late, None, None]  # the last is listed as a test clip only
    assert origins(tmp_path, "A_test_1", split="test") == [late]


def test_a_recording_is_known_by_its_fingerprint_else_by_its_path(tmp_path):
    write_clips_csv(
        tmp_path,
        ("train", "A", "A_train_1", "/v/match.mp4", "0", MARK),
        ("train", "A", "A_train_2", "/elsewhere/renamed.mp4", "0", MARK),  # the same
        ("train", "A", "A_train_3", "/other/match.mp4", "0", OTHER),  # a namesake
        ("train", "A", "A_train_4", "/v/./match.mp4", "0", ""),  # of an earlier version
        ("train", "A", "A_train_5", "/third/match.mp4", "0", ""),
        ("train", "A", "A_train_6", "/third/match.mp4", "0", ""),
    )
    found = [origin.recording for origin in origins(tmp_path, *(f"A_train_{i}" for i in range(1, 7)))]
    assert found == ["match.mp4", "match.mp4", "match.mp4 (2)", "match.mp4", *["match.mp4 (3)"] * 2]


@pytest.mark.parametrize(
    "name, expected",
    [
        ("v_Punch_g03_c01", "g03"),
        ("Punch_g25_c07", "g25"),
        ("g1_c2", "g1"),
        ("v_Punch_g03_c01_flipped", "g03"),
        ("Football_train_1", None),
        ("match2_17", None),
        ("song3_c4", None),
        ("big03_c01", None),
        ("clip_g2_scene1", None),  # says nothing for sure: --group takes it for a group
    ],
)
def test_names_of_ucf101s_kind(tmp_path, name, expected):
    assert origins(tmp_path, name) == [expected and Origin(expected, expected)]


def test_recordings_of_any_name_can_be_printed(tmp_path):
    write_clips_csv(
        tmp_path,
        ("train", "A", "A_train_1", "/v/\x1b[2J\udcff.mp4", "0", MARK),
        ("train", "A", "A_train_2", "/v/" + "x" * 250, "0", OTHER),
    )
    found = [origin.recording for origin in origins(tmp_path, "A_train_1", "A_train_2")]
    assert found == [r"\x1b[2J\xff.mp4", "x" * 60]


def test_a_damaged_clips_csv_is_named(tmp_path):
    write_clips_csv(tmp_path, ("train", "A", "A_train_1", "/v/a\0b.mp4", "0", MARK))
    with pytest.raises(ValueError, match=r"clips.csv: .*line.* mend or delete the file"):
        origins(tmp_path, "A_train_1")
