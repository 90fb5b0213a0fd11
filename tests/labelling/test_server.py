"""The labelling page's server: what it answers, and to whom."""

import json
import shlex
import socket

import pytest
from labelling import numbered, served

from vidclass.dataset.options import CutOptions
from vidclass.labelling import guard, server
from vidclass.labelling.label_file import check_segments
from vidclass.labelling.options import LabelOptions
from vidclass.labelling.session import only_session
from vidclass.labelling.training import Features, commands, find_features

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    numbered(folder / "match.mp4", *H264, seconds=4)
    (folder / "labels.csv").write_text("0,1,A\n")
    (folder / "proxy").mkdir()
    with served(folder / "match.mp4", folder=folder / "proxy") as running:
        yield running


PATHS = ["/", "/page.js", "/page.css", "/recording", "/video", "/progress", "/shot/0", "/proxy/0", "/times"]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_without_the_token(running, path):
    for token in ("", "the-token_2", "the-token_", "\u00fc".encode().hex()):
        status, headers, content = running.request("GET", path, token=token)
        assert status == 403 and b"Forbidden" in content


def test_nothing_under_another_name(running):
    """A name that a stranger's DNS made to point here: the browser sends it as Host."""
    for host in ("evil.example", f"evil.example:{running.port}", "127.0.0.1", "", None):
        assert running.request("GET", "/recording", Host=host, Origin=None)[0] in (400, 403)
    assert running.request("GET", "/recording", Host=f"localhost:{running.port}", Origin=None)[0] == 200


def test_nothing_to_other_pages(running):
    assert running.request("GET", "/recording", Origin="http://evil.example")[0] == 403
    assert running.request("GET", "/video", Origin=None, Sec_Fetch_Site="cross-site")[0] == 403
    assert running.request("GET", "/video", Origin=None, Sec_Fetch_Site="same-site")[0] == 403
    body = {"page": "x", "version": 0, "segments": [[0, "B", None]]}
    for origin in (None, "null", "http://evil.example", "http://127.0.0.1:1"):
        assert running.request("POST", "/segments", body=body, Origin=origin)[0] == 403


def test_headers_that_confine_the_page(running):
    status, headers, content = running.request("GET", "/")
    assert status == 200 and b"{{token}}" not in content
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"


def test_the_recording_in_ranges(running):
    content = open(running.session.source.path, "rb").read()
    status, headers, found = running.request("GET", "/video", Range="bytes=100-299")
    assert (status, found) == (206, content[100:300])
    assert headers["content-range"] == f"bytes 100-299/{len(content)}"
    assert running.request("GET", "/video")[2] == content


def test_no_other_file(running):
    for path in (
        "/labels.csv",
        "/page/page.html",
        "/proxy/..%2f..%2flabels.csv",
        "/proxy/../../labels.csv",
        "/proxy/list.m3u8",
        "/proxy/%2e%2e",
        "/shot/-1",
        "/shot/..",
        "//etc/passwd",
        "/proxy/%D9%A0",
    ):
        assert running.request("GET", path)[0] in (400, 404), path
    assert running.request("PUT", "/segments", body={})[0] == 405


def test_facts_and_progress(running):
    facts = json.loads(running.request("GET", "/recording")[2])
    assert facts["frames"] == 100 and facts["fps"] == 25 and facts["playable"] and facts["has_sound"]
    assert facts["segments"] == [[0, "A", None], [25, None, None]]
    for cuts in ("0", "-1", "x", "9" * 30):
        assert running.request("GET", f"/progress?cuts={cuts}")[0] == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"[" * 100_000, b'{"segments": 1}', b"\xff", b'{"page": "me", "version": true}'],
)
def test_a_damaged_request_is_refused(running, body):
    for path in ("/segments", "/claim", "/release"):
        assert running.request("POST", path, body=body)[0] in (200, 400, 409)
    assert running.session.version == 0


def test_a_request_has_a_limit(running):
    assert running.request("POST", "/segments", body=b" " * (server.MAX_BODY + 1))[0] == 400


@pytest.mark.parametrize(
    "rows",
    [
        None,
        [],
        [[1, "A", None]],
        [[0, "A", None], [0, "B", None]],
        [[0, "A", None], [5, "B", None], [3, "A", None]],
        [[0, "A", None], [100, "B", None]],
        [[0, "A"]],
        [[0.0, "A", None]],
        [[False, "A", None]],
        [[0, "../A", None]],
        [[0, "", None]],
        [[0, " A", None]],
        [[0, "A\nB", None]],
        [[0, "A\x00", None]],
        [[0, "\ud800", None]],
        [[0, 5, None]],
        [[0, "A" * 300, None]],
    ],
)
def test_segments_are_checked(rows):
    with pytest.raises(ValueError):
        check_segments(rows, 100)


def test_saving(tmp_path):
    numbered(tmp_path / "match.mp4", *H264, seconds=2)
    (tmp_path / "labels.csv").write_text("0,1,A\n")
    (tmp_path / "proxy").mkdir()
    with served(tmp_path / "match.mp4", folder=tmp_path / "proxy") as running:

        def save(page, version, *rows):
            body = {"page": page, "version": version, "segments": rows}
            status, _, content = running.request("POST", "/segments", body=body)
            return status, json.loads(content)

        def claim(page, force=False):
            body = {"page": page, "force": force}
            return json.loads(running.request("POST", "/claim", body=body)[2])["is_owner"]

        assert save("one", 0, [0, "B", None])[0] == 409  # before it claimed them
        assert claim("one") and not claim("two") and claim("one")
        assert save("one", 0, [0, "B", None], [10, "A", 0.25]) == (200, {"version": 1, "kept": None})
        saved = "start,end,class,probability\n0.000000,0.400000,B,\n0.400000,2.000000,A,0.2500\n"
        assert (tmp_path / "labels.csv").read_text() == saved
        assert save("two", 1, [0, "B", None])[0] == 409
        assert claim("two", force=True)
        status, content = save("one", 1, [0, "B", None])
        assert status == 409 and "another page" in content["error"]
        assert save("two", 0, [0, "B", None])[0] == 409  # it shows an earlier state
        assert save("two", 1, [0, None, None], [10, "C", None]) == (200, {"version": 2, "kept": None})
        assert (tmp_path / "labels.csv").read_text() == "start,end,class\n0.400000,2.000000,C\n"
        assert (tmp_path / "labels.csv.bak").read_text() == "0,1,A\n"  # before the session
        running.request("POST", "/release", body={"page": "two"})
        assert claim("three")
        (tmp_path / "labels.csv").unlink()
        (tmp_path / "labels.csv").mkdir()  # can't be written
        status, content = save("three", 2, [0, "B", None])
        assert status == 507 and "labels.csv" in content["error"]


def test_what_another_program_wrote_is_not_overwritten(tmp_path):
    numbered(tmp_path / "match.mp4", *H264, seconds=2)
    path = tmp_path / "labels.csv"
    path.write_text("0,1,A\n")
    (tmp_path / "proxy").mkdir()
    with served(tmp_path / "match.mp4", folder=tmp_path / "proxy") as running:

        def post(name, version, **sent):
            body = {"page": "one", "version": version, **sent}
            status, _, content = running.request("POST", f"/{name}", body=body)
            return status, json.loads(content)

        def is_other():
            return json.loads(running.request("GET", "/progress")[2])["is_other"]

        running.session.claim("one", False)
        mine = [[0, "B", None]]
        assert not is_other()
        path.write_text("0,1,C\n")
        assert is_other()
        status, answer = post("segments", 0, segments=mine)
        assert status == 409 and answer["is_other"] and "another program" in answer["error"]
        assert path.read_text() == "0,1,C\n"
        status, answer = post("segments", 0, segments=mine, over=True)
        assert status == 200 and open(answer["kept"]).read() == "0,1,C\n"
        assert path.read_text() == "start,end,class\n0.000000,2.000000,B\n" and not is_other()
        path.write_text("0,1,A\n1,x,B\n")
        assert post("load", 1)[0] == 400 and is_other()  # nothing is lost
        path.write_text("0,1,D\n")
        assert post("load", 1) == (200, {}) and not is_other()
        facts = json.loads(running.request("GET", "/recording")[2])
        assert facts["segments"] == [[0, "D", None], [25, None, None]] and facts["version"] == 2
        assert post("segments", 2, segments=mine)[0] == 200
        assert running.request("POST", "/load", body={"page": "two", "version": 3})[0] == 409


def test_classes_keep_their_order_and_colours(tmp_path):
    """Also when the page is loaded again, and when label.py is started again."""
    numbered(tmp_path / "match.mp4", *H264, seconds=2)
    (tmp_path / "proxy").mkdir()
    (tmp_path / "data" / "train" / "D").mkdir(parents=True)
    (tmp_path / "data" / "train" / "B").mkdir()
    data_dir = str(tmp_path / "data")

    def classes(running):
        return json.loads(running.request("GET", "/recording")[2])["classes"]

    def start(**options):
        options = LabelOptions(browser=False, data_dir=data_dir, **options)
        return served(tmp_path / "match.mp4", options=options, folder=tmp_path / "proxy")

    with start() as running:
        assert classes(running) == ["B", "D"]
        running.session.claim("one", False)
        running.session.save("one", 0, [[0, "D", None], [9, "C", None]])
        assert classes(running) == ["B", "C", "D"]
    with start() as running:
        assert classes(running) == ["B", "C", "D"]
    with start(classes=("X", "D")) as running:
        assert classes(running) == ["X", "D", "C"]


def test_a_recording_that_is_gone(tmp_path):
    """The page is told in a line, and labels can still be saved."""
    numbered(tmp_path / "match.mp4", *H264, seconds=2)
    (tmp_path / "proxy").mkdir()
    with served(tmp_path / "match.mp4", folder=tmp_path / "proxy") as running:
        (tmp_path / "match.mp4").unlink()
        status, _, content = running.request("GET", "/video")
        assert status == 410 and content.count(b"\n") == 1
        assert running.request("GET", "/recording")[0] == 200
        assert running.request("GET", "/shot/" + "1" * 5000)[0] == 400
        running.session.claim("one", False)
        body = {"page": "one", "version": 0, "segments": [[0, "B", None]]}
        assert running.request("POST", "/segments", body=body)[0] == 200


def test_half_a_request_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "HEAD_PATIENCE", 0.3)
    numbered(tmp_path / "match.mp4", *H264, seconds=2)
    (tmp_path / "proxy").mkdir()
    with served(tmp_path / "match.mp4", folder=tmp_path / "proxy") as running:
        for sent in (b"", b"GET /"):
            with socket.create_connection(("127.0.0.1", running.port), timeout=30) as stranger:
                stranger.sendall(sent)
                while stranger.recv(2**16):  # until it is closed
                    pass
        assert running.request("GET", "/recording")[0] == 200


def test_use_for_training(tmp_path):
    numbered(tmp_path / "match.mp4", *H264, seconds=9)
    (tmp_path / "labels.csv").write_text("0,6.5,A\n6.5,8.5,B\n")
    (tmp_path / "proxy").mkdir()
    with served(tmp_path / "match.mp4", folder=tmp_path / "proxy") as running:
        found = json.loads(running.request("GET", "/training?seconds=1")[2])
        assert [(item["name"], item["train"] + item["test"]) for item in found["classes"]] == [
            ("A", 6),
            ("B", 2),
        ]
        assert found["commands"][0].endswith("labels.csv --seconds 1") and found["problem"] is None
        assert found["commands"][3].startswith("python train.py 40 2 299 299")
        assert [note.split(";")[0] for note in found["notes"]] == [
            "A: no clips to test on",
            "B: no clips to test on",
        ]
        found = json.loads(running.request("GET", "/training?seconds=3")[2])
        assert "class B would get no clip" in found["problem"] and not found["commands"]
        for seconds in ("x", "-1", "0", "1/0", "nan", "1e999999999"):
            assert running.request("GET", f"/training?seconds={seconds}")[0] == 400


def test_the_commands_go_by_the_datasets_sequences(tmp_path):
    assert find_features(str(tmp_path), None, None) == Features()
    folder = tmp_path / "sequences" / "144x176-random-int8" / "train" / "A"
    folder.mkdir(parents=True)
    for name in ("one-20", "two-20", "three-40"):
        (folder / f"{name}-features.npy").touch()
    features = find_features(str(tmp_path), None, None)
    options = CutOptions(seconds=2, data_dir=str(tmp_path))
    line = commands("a.mp4", "labels.csv", options, 3, features)[3]
    expected = "python train.py 20 3 144 176 --weights random --precision int8 --data-dir"
    assert line == f"{expected} {shlex.quote(str(tmp_path))}"


def test_two_sessions_on_one_file(tmp_path):
    path = str(tmp_path / "labels.csv")
    second = only_session(path)
    with only_session(path), pytest.raises(RuntimeError, match="labels.csv: another label.py has it open"):
        second.__enter__()
    with only_session(path):
        pass
    assert not list(tmp_path.iterdir())
