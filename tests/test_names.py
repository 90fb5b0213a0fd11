"""names.py: what can be a name, and which names are probably one."""

import os

import pytest

from vidclass.names import alike, alike_classes, check_name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b", "/etc/passwd", "../a", "a/..", "a\0b", "x" * 256, "é" * 128, "\ud800"],
)
def test_names_that_no_class_and_no_clip_can_have(name):
    with pytest.raises(ValueError):
        check_name(name)


@pytest.mark.parametrize(
    "name",
    ["a", "a b", "a.b", "a..", "~", "-rf", "a\nb", "\\", "c:\\x", "caf\udce9", "x" * 255, "%2e%2e%2f", " "],
)
def test_names_that_a_file_system_takes(tmp_path, name):
    check_name(name)
    (tmp_path / name).touch()
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    "group",
    [
        ["Football", "football"],
        ["FOOTBALL", "FootBall", "football"],
        ["caf\u00e9", "cafe\u0301"],
        ["Stra\u00dfe", "STRASSE"],
        ["A b", "A  b"],
        ["A", "A "],
        ["\u212b", "\u00e5"],
    ],
)
def test_names_that_look_alike(group):
    assert alike(["other", *group, "another"]) == [sorted(group)]
    (line,) = alike_classes("d", ["other", *group])
    assert all(repr(name) in line or ascii(name) in line for name in group)


def test_names_that_do_not_look_alike():
    assert (
        alike(["Football", "Footbal", "cafe", "caf\u00e9", "x\u00b2", "x2", "caf\udce9", "caf\udcea"]) == []
    )
