"""What is when, read from files that people and other programs write."""

import io
import math
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidclass.dataset.label_rows import parse_time
from vidclass.dataset.labels import fill_gaps, read_labels
from vidclass.text import clock


def read(tmp_path, name, text, **options):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return [(label.start, label.end, label.class_name) for label in read_labels(tmp_path / name, **options)]


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("0", 0),
        ("83.5", 83.5),
        ("1:23.5", 83.5),
        ("0:01:23.5", 83.5),
        ("00:01:23,500", 83.5),
        (" 12:00:00.001 ", 43200.001),
        ("90:00", 5400),
        ("100:00:00", 360000),
        ("7.", 7),
        ("117.24000000000001", 117.24),
    ],
)
def test_times(text, seconds):
    assert parse_time(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "-1",
        "1:60",
        "0:60:00",
        "1:2:3:4",
        "1e3",
        "nan",
        "inf",
        "1,2,3",
        "١",
        "0x10",
        "00:00:10:05",
        "99999999999",
    ],
)
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match="is not a time"):
        parse_time(text)


@settings(deadline=None)
@given(st.integers(0, 360_000_000))
def test_clock_and_parse_time_are_inverse(milliseconds):
    assert round(parse_time(clock(milliseconds / 1000)) * 1000) == milliseconds


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_time_or_an_error(text):
    try:
        assert 0 <= parse_time(text) < math.inf
    except ValueError as error:
        assert "is not a time" in str(error)


@settings(deadline=None, max_examples=200)
@given(
    text=st.one_of(
        st.text(),
        st.lists(
            st.sampled_from(
                [
                    "0",
                    "1.5",
                    "0:02",
                    "3",
                    "-->",
                    ",",
                    ";",
                    "\t",
                    "\n",
                    "\r\n",
                    "A",
                    "start",
                    "end",
                    "class",
                    '"',
                    " ",
                    "\0",
                    "/",
                    "WEBVTT",
                    "#",
                    "<i>",
                    "&amp;",
                    "Scene Number",
                    "FILE PROCESSING COMPLETE 99 FRAMES AT 2500\n",
                    "\ufeff",
                ]
            ),
            max_size=40,
        ).map("".join),
    ),
    extension=st.sampled_from(["csv", "srt", "vtt", "edl", "txt"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_file_gives_labels_or_an_error_that_names_it(tmp_path_factory, text, extension, encoding):
    path = tmp_path_factory.getbasetemp() / f"fuzz.{extension}"
    path.write_text(text, encoding=encoding, errors="replace", newline="")
    try:
        labels = read_labels(path)
    except ValueError as error:
        assert str(error).startswith(str(path))
        return
    assert labels and all(label.start < label.end and label.class_name for label in labels)
    assert all(before.end <= after.start + 0.001 for before, after in zip(labels, labels[1:]))


EXPECTED = [(0, 25, "Football"), (25, 44.5, "Commercial")]


@pytest.mark.parametrize(
    "text",
    [
        "0,25,Football\n25,44.5,Commercial\n",
        "start,end,class\n0:00:25,0:00:44.500,Commercial\n0,0:25,Football\n",
        "start,end,class,probability\n0.000,25.000,Football,0.9\n25.000,44.500,Commercial,0.8\n",
        "class;start;end\nFootball;0;25\n\nCommercial;25;44,5\n",
        "\ufeff0\t25\tFootball\r\n25\t44.5\tCommercial\r\n",
        '"0","25","Football"\n"25","44.5"," Commercial "',
        '"0", "25", "Football"\n"25", "44.5", "Commercial"\n',
        "\n \n0;25;Football\n25;44,5;Commercial\n",
        "0,0;25,0;Football\n25,0;44,5;Commercial\n",
        "0\t25,0\tFootball\n25\t44,5\tCommercial\n",
        '# noted by hand, "quickly\n0,25,Football\n  # 30,31,Ad\n25,44.5,Commercial\n',
        "label,start,end\nFootball,0,25\nCommercial,25,44.5\n",
        "Out,Tag,In\n25,Football,0\n44.5,Commercial,25\n",
        "name;to;from\nFootball;25;0\nCommercial;44,5;25\n",
        ",start,end,class\n0,0,25,Football\n1,25,44.5,Commercial\n",
        "Name,Class,Start Time (s),End_Time\nx,Football,0,25\ny,Commercial,25,44.5\n",
        "Anfang;Ende;Klasse\n0;25;Football\n25;44,5;Commercial\n",
        "t0,t1,label\n0,25,Football\n25,44.5,Commercial\n",
        "\r0,25,Football\r25,44.5,Commercial\r",
        ",25,Football\n25,44.5,Commercial\n",
    ],
)
def test_csv(tmp_path, text):
    assert read(tmp_path, "x.csv", text) == EXPECTED
    assert read(tmp_path, "labels", text) == EXPECTED


@pytest.mark.parametrize(
    "text", ["0,25,Fußball; live\n25,44.5,広告\n", "0\t25\tFußball; live\n25\t44.5\t広告\n"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_encodings(tmp_path, text, encoding):
    """Excel's "Unicode text" is UTF-16 with a byte order mark, and tabs."""
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "x.txt").write_bytes((mark + text).encode(encoding))
    assert [label[:3] for label in read_labels(tmp_path / "x.txt")] == [
        (0, 25, "Fußball; live"),
        (25, 44.5, "広告"),
    ]


def test_lossless_cut(tmp_path):
    """As it exports: no start is the recording's, no end its end. Times in seconds, and, separated by tabs,
    on a clock."""
    expected = [
        (0, 56.9568, "First segment"),
        (70, 842.33, "Another quoted, label"),
        (1234, math.inf, "Last"),
    ]
    assert (
        read(tmp_path, "x.csv", ',56.9568,First segment\n70,842.33,"Another quoted, label"\n1234,,Last\n')
        == expected
    )
    tsv = (
        "00:00:00.000\t00:00:56.957\tFirst segment\n"
        "00:01:10.000\t00:14:02.330\tAnother quoted, label\n"
        "00:20:34.000\t\tLast\n"
    )
    assert read(tmp_path, "x.tsv", tsv) == [(0, 56.957, "First segment"), *expected[1:]]
    assert read(tmp_path, "x.csv", ",,Football\n") == [(0, math.inf, "Football")]
    assert read(tmp_path, "x.csv", ",18,Football\n18,,Commercial\n") == [
        (0, 18, "Football"),
        (18, math.inf, "Commercial"),
    ]


SCENES = """{}Scene Number,Start Frame,Start Timecode,Start Time (seconds),End Frame,\
End Timecode,End Time (seconds),Length (frames),Length (timecode),Length (seconds){}
1,1,00:00:00.000,0.000,100,00:00:03.333,3.333,100,00:00:03.333,3.333{}
2,101,00:00:03.333,3.333,480,00:00:16.000,16.000,380,00:00:12.667,12.667{}
"""


@pytest.mark.parametrize("first", ["Timecode List:,00:00:03.333\n", "00:00:03.333\n", ""])
def test_pyscenedetect(tmp_path, first):
    """Its -Scenes.csv, by its versions with or without the list of times above, is read if someone added a
    class."""
    assert read(tmp_path, "x.csv", SCENES.format(first, ",class", ",A", ",B")) == [
        (0, 3.333, "A"),
        (3.333, 16, "B"),
    ]
    with pytest.raises(
        ValueError, match="x.csv: PySceneDetect's list of scenes, .*; add a column 'class' to it"
    ):
        read(tmp_path, "x.csv", SCENES.format(first, "", "", ""))


@pytest.mark.parametrize(
    "rate, fps",
    [("2500", 25), ("2997", 30000 / 1001), ("2397", 24000 / 1001), ("5994", 60000 / 1001), ("5000", 50)],
)
def test_comskip(tmp_path, rate, fps):
    """Frames count from 1, and the rate is cut: of 23.976 frames a second it writes 2397."""
    text = f"FILE PROCESSING COMPLETE  53999 FRAMES AT  {rate}\n-------------------\n1\t3001\n20001\t25001\n"
    expected = [
        (0, pytest.approx(3000 / fps, abs=1e-5), "Ad"),
        (pytest.approx(20000 / fps, abs=1e-5), pytest.approx(25000 / fps, abs=1e-5), "Ad"),
    ]
    assert read(tmp_path, "x.txt", text, edl_class="Ad") == expected


def test_edl(tmp_path):
    text = "# comskip\n5.00\t10.50\t0\n20 30 3\n40.0 50.0 1\n60 61 2\n"
    assert read(tmp_path, "x.edl", text, edl_class="Ad") == [(5, 10.5, "Ad"), (20, 30, "Ad")]


def test_subtitles(tmp_path):
    srt = "1\n00:00:00,000 --> 00:00:25,000\nFootball: 0.95\n\n2\n00:00:25,000 --> 00:00:44,500\nCommercial\n"
    assert read(tmp_path, "x.srt", srt) == EXPECTED
    vtt = (
        "WEBVTT\n\n00:00.000 --> 00:25.000 align:start\nFootball: 0.95\n\n"
        "00:25.000 --> 00:44.500\nCom&amp;mercial\n"
    )
    assert read(tmp_path, "x.vtt", vtt) == [EXPECTED[0], (25, 44.5, "Com&mercial")]


@pytest.mark.parametrize(
    "text, name",
    [
        ("<v Bob>Commercial", "Commercial"),
        ("<v.loud Bob Smith>Commercial</v>", "Commercial"),
        ("<c.yellow.bg_blue>Ad</c> break", "Ad break"),
        ("<i>Football</i>", "Football"),
        ("<b><u>Football</u></b>", "Football"),
        ('<font color="#ff0000">Football</font>', "Football"),
        ("{\\an8}Football", "Football"),
        ("<00:00:01.500>Foot<00:00:02.000>ball", "Football"),
        ("<lang en-GB>Football</lang>", "Football"),
        ("Q&amp;A &lt;3 &#233;t&eacute;", "Q&A <3 été"),
        ("AT&T 1 < 2 > 0", "AT&T 1 < 2 > 0"),
        ("<i>Football: 0.97</i>", "Football"),
        ("two\n<i>lines</i>", "two lines"),
        ("&#" + "9" * 5000 + ";", "&#" + "9" * 5000 + ";"),
    ],
)
def test_text_of_cues(tmp_path, text, name):
    if len(name) < 200:
        assert read(
            tmp_path, "x.vtt", f"WEBVTT - x\n\nNOTE a\nb\n\n7\n00:00.000 --> 00:25.000 line:0\n{text}\n"
        ) == [(0, 25, name)]
        assert read(tmp_path, "x.srt", f"1\n00:00:00,000 --> 00:00:25,000\n{text}\n") == [(0, 25, name)]
    else:
        with pytest.raises(ValueError, match="x.vtt, line 1: .* can't be a class"):
            read(tmp_path, "x.vtt", f"00:00.000 --> 00:25.000\n{text}\n")


def test_cues_without_blank_lines_between_them(tmp_path):
    srt = "1\n00:00:00,000 --> 00:00:25,000\nFootball\n2\n00:00:25,000 --> 00:00:44,500\nCommercial\n"
    assert read(tmp_path, "x.srt", srt) == EXPECTED


def test_many_cues_take_no_time_in_their_square(tmp_path):
    """A hundred thousand, of which none has a text."""
    with pytest.raises(ValueError, match="line 1: the class is missing"):
        read(tmp_path, "x.srt", "0 --> 1\n" * 100_000)


def workbook():
    """A file as Excel writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


@pytest.mark.parametrize(
    "name, content, mentions",
    [
        (
            "x.xlsx",
            workbook(),
            "a spreadsheet (.xlsx, .ods) or another ZIP archive; open it and save it as CSV",
        ),
        ("x.csv", workbook(), "save it as CSV"),
        ("x.xls", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500), "an old Excel or Office file"),
        ("x.csv", b"0,25,A\n\0\0\0", "not text; save it as CSV"),
        ("x.csv", b"\xff\xfe0", "not text"),
        (
            "x.csv",
            "0,25,Football\n25,44,Fu\xdfball\n".encode("cp1252"),
            "x.csv, line 2: not in UTF-8; save the file as UTF-8",
        ),
        ("x.csv", b"0,25,A\n" * 2_400_000, "longer than 16 MB"),
        (
            "x.llc",
            b"{\n  version: 1,\n  mediaFileName: 'x.mp4',\n  cutSegments: [\n    {\n      start: 0,",
            "a project of LosslessCut; export",
        ),
        (
            "x.edl",
            b"TITLE: Match\nFCM: NON-DROP FRAME\n\n"
            b"001  AX  V  C  00:00:00:00 00:00:05:00 01:00:00:00 01:00:05:00\n",
            "a CMX 3600 EDL",
        ),
        (
            "x.edl",
            b"001  AX       V     C        00:00:00:00 00:00:05:00 01:00:00:00 01:00:05:00\n",
            "a CMX 3600 EDL",
        ),
        ("x.csv", b"\xef\xbb\xbfTITLE:   Timeline 1\r\nFCM: NON-DROP FRAME\r\n", "a CMX 3600 EDL"),
        ("x.edl", b"# mpv EDL v0\nf1.mkv,10,20\n", "an EDL of mpv"),
        ("x.json", b'{\n "video": "x.mp4"', "JSON; of clasify.py's results give"),
        ("x.xml", b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE xmeml>', "XML or HTML"),
        ("x.chapters", b";FFMETADATA1\n[CHAPTER]", "chapters for ffmpeg"),
        (
            "x.txt",
            b"FILE PROCESSING COMPLETE\n-----\n1 200\n",
            "line 1: comskip's list, but without its frame rate",
        ),
        (
            "x.txt",
            b"FILE PROCESSING COMPLETE 10 FRAMES AT 0\n1 200\n",
            "comskip's list, but without its frame rate",
        ),
    ],
)
def test_other_files_are_refused_by_their_name(tmp_path, name, content, mentions):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as error:
        read_labels(tmp_path / name)
    assert (
        str(error.value).startswith(str(tmp_path / name))
        and mentions in str(error.value)
        and "\n" not in str(error.value)
    )


@pytest.mark.parametrize(
    "name, text, mentions",
    [
        ("x.csv", "0,25,Football\n20,30,Commercial\n", "line 2: overlaps line 1, which ends at 25.000 s"),
        ("x.csv", "0,25,Football\n25,x,Commercial\n", "line 2: 'x' is not a time"),
        ("x.csv", "start,end,class\n9,8,A\n", "line 2: it ends at 8 and starts at 9"),
        ("x.csv", "0,25\n", "line 1: expected start, end, class, found '0,25'"),
        ("x.csv", "0,25,\n", "line 1: the class is missing"),
        ("x.csv", "0,25,../x\n", "can't be a class"),
        ("x.csv", "", "no labels in it"),
        ("x.csv", "start,end,class\n", "no labels in it"),
        # A first row is a header only if no cell of it is a time, or looks like one that is mistyped.
        *(
            ("x.csv", text, "where times have decimal commas, put semicolons or tabs between the columns")
            for text in (
                "0,22,4,Match\n",
                "0,5,22,4,Match\n",
                "0,5,1:22,4,Match\n",
                "0,22,Match\n22,30,5,Advert\n",
                "start,end,class\n0,22,4,Match\n",
            )
        ),
        ("x.csv", "O,18,Football\n18,20,A\n", "line 1: 'O' is not a time"),
        ("x.csv", "0:2x,l8,Football\n18,20,A\n", "line 1: '0:2x' is not a time"),
        ("x.csv", "\n# x\nO,18,Football\n", "line 3: 'O' is not a time"),
        ("x.csv", "0,18,Football\n,20,A\n", "line 2: overlaps line 1, which ends at 18.000 s"),
        ("x.csv", "0,,Football\n18,20,A\n", "line 2: overlaps line 1, which has no end"),
        (
            "x.csv",
            "class,start,finish\nA,0,5\n",
            "line 1: no column is called end; name three of them start, end and class",
        ),
        ("x.csv", "start,end\n0,5\n", "line 2: expected start, end, class, found '0,5'"),
        ("x.csv", "0,25,.hidden\n", "can't be a class"),
        ("x.csv", f"0,25,{'x' * 250}\n", "can't be a class"),
        ("x.csv", '0,25,"a\nb"\n', "can't be a class"),
        ("x.edl", "0 25 9\n", "line 1: expected start, end and one of the actions 0 (cut)"),
        ("x.srt", "1\n00:00:00,000 --> 00:00:61,000\nA\n", "line 2: '00:00:61,000' is not a time"),
    ],
)
def test_errors_name_the_line(tmp_path, name, text, mentions):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError) as error:
        read_labels(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name)) and mentions in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["0,5,4,0.93\n", "0,5,4,\n", "start,end,class,comment\n0,5,4,good\n", "0;5;4;good\n", "0,5;22,4;4\n"],
)
def test_classes_that_are_numbers(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    assert [label.class_name for label in read_labels(tmp_path / "x.csv")] == ["4"]


def test_gaps_are_filled(tmp_path):
    (tmp_path / "x.edl").write_text("5 10 0\n20 30 0\n")
    labels = read_labels(tmp_path / "x.edl", "Ad")
    assert [label[:3] for label in fill_gaps(labels, 40, "Match")] == [
        (0, 5, "Match"),
        (5, 10, "Ad"),
        (10, 20, "Match"),
        (20, 30, "Ad"),
        (30, 40, "Match"),
    ]
    assert [label[:3] for label in fill_gaps(labels, 30, "Match")][-1] == (20, 30, "Ad")
