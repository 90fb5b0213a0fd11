"""The labelling page in a real Chromium: keys and mouse, what is saved, what the video shows."""

import contextlib
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction

import pytest
from conftest import ROOT, variable_rate
from helpers import ffmpeg
from labelling import BITS, numbered, served
from test_frame_table import shown

import cut_clips
from vidclass.colors import color
from vidclass.dataset.labels import read_labels
from vidclass.dataset.options import CutOptions
from vidclass.labelling.options import LabelOptions

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its driver")

H264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-pix_fmt", "yuv420p", "-c:a", "aac")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-g", "15", "-bf", "2", "-c:a", "mp2")
PATIENCE = 30  # seconds, of a busy machine
# The number that the video shows, the frame that the page names, and whether the video has got there.
STATE = """
const video = document.getElementById("video"), position = document.getElementById("position");
const canvas = new OffscreenCanvas(video.videoWidth || 1, video.videoHeight || 1);
const context = canvas.getContext("2d", {willReadFrequently: true});
context.drawImage(video, 0, 0);
let number = 0;
for (let bit = 0; bit < arguments[0]; bit++) {
  const x = (bit + 0.5) * canvas.width / arguments[0];
  if (context.getImageData(x, canvas.height / 2, 1, 1).data[0] > 125) number |= 1 << bit;
}
return [number, +position.dataset.frame, !video.seeking && video.readyState >= 2];
"""


class Page:
    """The page in a browser, as a person sees it."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, address):
        self.driver.get(address)
        self.wait(lambda: self.run("return document.body.dataset.ready"))
        return self

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition):
        until = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < until, self.text("body")[:2000]
            time.sleep(0.02)
        return found

    def press(self, *keys):
        """Presses keys one after the other, whatever has the focus."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def is_there(self, selector):
        return self.driver.find_element("css selector", selector).is_displayed()

    def click(self, selector):
        self.driver.find_element("css selector", selector).click()

    @property
    def frame(self):
        return self.run(STATE, BITS)[1]

    def shown(self):
        """(number that the video shows, frame that the page names), once it is there."""
        self.wait(lambda: self.run(STATE, BITS)[2])
        time.sleep(0.15)  # until it is painted
        return tuple(self.run(STATE, BITS)[:2])

    def go_to(self, frame):
        """Moves to a frame with a person's keys."""
        self.press(Keys.HOME)
        rate = self.run("return arguments[0]", 25)
        for _ in range(frame // rate):
            self.press(Keys.SHIFT + Keys.ARROW_RIGHT)
        for _ in range(frame % rate):
            self.press(Keys.ARROW_RIGHT)
        assert self.frame == frame

    def saved(self):
        """Waits until all is saved."""
        self.wait(lambda: self.text("#saved").startswith("Saved in"))


@contextlib.contextmanager
def chromium():
    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--mute-audio",
        "--disable-gpu",
    ):
        options.add_argument(argument)
    options.add_argument("--window-size=1280,940")
    options.binary_location = CHROMIUM
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def driver():
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(driver):
    return Page(driver)


@pytest.fixture
def serve(tmp_path):
    """serve(recording, labels=None, **options): a Running session, until the test ends."""
    with contextlib.ExitStack() as stack:

        def start(recording, labels=None, **options):
            folder = tmp_path / f"proxy{time.monotonic()}"
            folder.mkdir()
            return stack.enter_context(
                served(recording, labels, LabelOptions(browser=False, **options), folder)
            )

        yield start


def saved_labels(path):
    return [(round(label.start * 25), label.class_name) for label in read_labels(path)]


def test_labelling_while_it_plays(page, serve, tmp_path):
    """And what is cut from that recording is what was labelled, frame by frame."""
    recording = numbered(tmp_path / "match.mp4", *H264)
    page.open(serve(recording, classes=("Match", "Break")).address)
    page.press("1", " ")
    page.wait(lambda: page.frame > 40)
    page.press("2")
    page.wait(lambda: page.frame > 90)
    page.press("1", "k")
    page.wait(lambda: page.text("#speed") == "1×")
    page.saved()
    labels = saved_labels(tmp_path / "labels.csv")
    assert [name for _, name in labels] == ["Match", "Break", "Match"]
    first, second = labels[1][0], labels[2][0]
    assert 40 < first < second and 90 < second < 200
    assert page.shown() == (page.frame, page.frame)
    options = CutOptions(seconds=Fraction(1), data_dir=str(tmp_path / "data"), quiet=True)
    cut_clips.cut_clips(str(recording), str(tmp_path / "labels.csv"), options)
    found = {"Match": set(), "Break": set()}
    for path in sorted((tmp_path / "data").rglob("*.mp4")):
        found[path.parent.name] |= set(shown(path))
    assert found["Break"] <= set(range(first, second)) and len(found["Break"]) == (second - first) // 25 * 25
    assert (
        found["Match"] <= {*range(first), *range(second, 300)}
        and min(found["Match"] - set(range(first))) == second
    )


def test_moving_splitting_joining_undoing(page, serve, tmp_path):
    recording = numbered(tmp_path / "match.mp4", *H264, seconds=4)
    (tmp_path / "labels.csv").write_text("0,2,A\n2,4,B\n")
    running = serve(recording)
    page.open(running.address)
    path = tmp_path / "labels.csv"

    def labels():
        page.saved()
        return saved_labels(path)

    page.press(Keys.ARROW_DOWN, ".", ".", ",")
    assert labels() == [(0, "A"), (51, "B")] and page.shown() == (51, 51)
    page.go_to(20)
    page.press(Keys.ENTER, "2")
    assert labels() == [(0, "A"), (20, "B")]  # of one class with the next
    page.press(Keys.BACKSPACE)
    assert labels() == [(0, "A")]
    page.press("u", "u")
    assert labels() == [(0, "A"), (20, "A"), (51, "B")]
    page.open(running.address)  # reloaded
    assert page.shown() == (20, 20)  # where it was
    page.press("u")
    assert labels() == [(0, "A"), (51, "B")]
    page.press("r", "r", "r")
    assert labels() == [(0, "A")]
    page.press(Keys.CONTROL + "z" + Keys.NULL, Keys.CONTROL + "z" + Keys.NULL)
    assert labels() == [(0, "A"), (20, "A"), (51, "B")]
    page.press(Keys.CONTROL + "y" + Keys.NULL, Keys.CONTROL + Keys.SHIFT + "z" + Keys.NULL)
    assert labels() == [(0, "A")]
    page.go_to(75)
    page.press("0")
    page.saved()
    assert [(label.start, label.end) for label in read_labels(path)] == [(0, 3)]
    page.click("#new-name")
    page.press("Third, <b>", Keys.ENTER)
    page.press("3")
    assert labels() == [(0, "A"), (75, "Third, <b>")]
    assert (tmp_path / "labels.csv.bak").read_text() == "0,2,A\n2,4,B\n"


CLASSES = """return [...document.querySelectorAll("#classes button[data-name]:not([data-none])")].map(
  (button) => [button.dataset.name, getComputedStyle(button.querySelector(".chip")).backgroundColor]);"""


def test_classes_keep_their_keys_and_colours(page, serve, tmp_path):
    """A new one takes its place in the alphabet at once, where it is when the page is loaded again. The
    colours are those of result.avi."""
    recording = numbered(tmp_path / "match.mp4", *H264, seconds=2)
    (tmp_path / "labels.csv").write_text("0,1,Match\n1,2,Break\n")
    running = serve(recording)
    page.open(running.address)
    for name in ("Interview", "Advert"):
        page.click("#new-name")
        page.press(name, Keys.ENTER)
    page.press("1")
    page.saved()
    names = ["Advert", "Break", "Interview", "Match"]
    expected = [[name, f"rgb{color(number)}"] for number, name in enumerate(names)]
    assert page.run(CLASSES) == expected
    page.open(running.address)
    assert page.run(CLASSES) == expected
    assert saved_labels(tmp_path / "labels.csv") == [(0, "Advert"), (25, "Break")]


def test_what_can_not_be_a_class(page, serve, tmp_path):
    """It is said beside the field. And the lower strip can show more, or less."""
    page.open(serve(numbered(tmp_path / "match.mp4", *H264, seconds=2)).address)
    before = page.run(CLASSES)
    for name, problem in {"a/b": "slash", ".a": "dot", "ä" * 150: "too long"}.items():
        page.click("#new-name")
        page.press(name, Keys.ENTER)
        assert problem in page.text("#new-problem")
        page.run("document.getElementById('new-name').value = ''")
    page.press("A")
    assert not page.is_there("#new-problem")
    page.press(Keys.ENTER)
    assert [name for name, _ in page.run(CLASSES)] == [*(name for name, _ in before), "A"]
    page.press("-")
    assert page.text("#zoom") == "2 min"
    page.press("+", "+", "+", "+", "+", "+")
    assert page.text("#zoom") == "10 s"


def result_of(recording, frames):
    """A result.json: A up to the middle, where it is not sure, then B."""
    windows = [(0, 1, 0.95), (1, 2, 0.45), (2, 3, 0.6), (3, 4, 0.1)]
    return {
        "video": str(recording),
        "classes": ["A", "B"],
        "segments": [
            {"start": 0, "end": 2, "class": "A", "probability": 0.7},
            {"start": 2, "end": 4, "class": "B", "probability": 0.65},
        ],
        "windows": [{"start": s, "end": e, "probabilities": {"A": p, "B": 1 - p}} for s, e, p in windows],
    }


def test_correcting_a_result(page, serve, tmp_path):
    recording = numbered(tmp_path / "match.mp4", *H264, seconds=4)
    (tmp_path / "result.json").write_text(json.dumps(result_of(recording, 100)))
    running = serve(recording, tmp_path / "result.json")
    page.open(running.address)
    looked_at = []
    for _ in range(5):
        page.press("n")
        looked_at.append(" ".join(page.text("#unsure-rows li[aria-current]").split()))
    assert looked_at == [
        "0:02.000 moments of B at 0.40",
        "0:01.000 moments of A at 0.45",
        "0:02.000 cut A → B, both sides close",
        "0:02.000 B only 0.65",
        "0:00.000 A only 0.70",
    ]
    page.press("1")  # it is A: right
    assert page.text("#unsure-note") == "4 worth a look, 1 checked"
    assert "moments of B" in page.text("#unsure-rows li[aria-current]")  # once more, as it was not checked
    page.click("#right")
    assert page.text("#unsure-note") == "3 worth a look, 2 checked"
    page.open(running.address)
    page.click("#tab-unsure")
    assert page.text("#unsure-note") == "3 worth a look, 2 checked"
    page.click("#tab-segments")
    assert page.text("#rows").split() == "0:00.000 0:02.000 A 0.70 0:02.000 0:04.000 B 0.65".split()
    page.go_to(25)
    page.press("2")
    page.saved()
    saved = "start,end,class,probability\n0.000000,1.000000,A,0.9500\n1.000000,4.000000,B,0.6167\n"
    assert (tmp_path / "result.csv").read_text() == saved
    assert json.loads((tmp_path / "result.json").read_text())["classes"] == ["A", "B"]  # as it was


def make_recordings(folder):
    numbered(folder / "a.mkv", "-c:v ffv1 -pix_fmt yuv420p -c:a pcm_s16le", seconds=10)
    source = folder / "a.mkv"
    ffmpeg("-i", source, *MPEG2, folder / "mpeg2.ts")
    ffmpeg("-i", source, "-c:v mpeg4 -q:v 2 -bf 2 -c:a mp3", folder / "mpeg4.avi")
    ten_bits = "-c:v libx264 -preset veryfast -crf 12 -pix_fmt yuv420p10le -an"
    ffmpeg("-i", source, ten_bits, folder / "10-bit.mp4")
    ffmpeg("-i", source, *H264, "-g 250", folder / "whole.mp4")
    ffmpeg("-ss 3.3 -i", folder / "whole.mp4", "-c copy", folder / "edited.mp4")
    ffmpeg("-itsoffset 0.8 -i", source, "-i", source, "-map 0:v -map 1:a", *H264, folder / "late.ts")
    chosen = "-vf select='lt(mod(n,50),25)+not(mod(n,5))'"
    ffmpeg("-i", source, chosen, *variable_rate(), *H264, folder / "varies.mp4")
    numbered(folder / "29.97.mp4", *H264, rate="30000/1001", seconds=10)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    make_recordings(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "way"),
    [
        pytest.param("whole.mp4", "file", marks=pytest.mark.slow),
        pytest.param("29.97.mp4", "file", marks=pytest.mark.slow),
        ("varies.mp4", "file"),
        ("edited.mp4", "proxy"),
        ("mpeg2.ts", "proxy"),
        pytest.param("late.ts", "proxy", marks=pytest.mark.slow),
        pytest.param("mpeg4.avi", "proxy", marks=pytest.mark.slow),
        pytest.param("a.mkv", "proxy", marks=pytest.mark.slow),
        pytest.param("10-bit.mp4", "file or proxy", marks=pytest.mark.slow),
    ],
)
def test_the_video_shows_the_frame_that_is_named(page, serve, recordings, tmp_path, name, way):
    numbers = shown(recordings / name)
    page.open(serve(recordings / name, tmp_path / "labels.csv", classes=("A",)).address)
    assert page.run("return document.body.dataset.ready") in way.split(" or ")
    for keys in (
        [],
        [Keys.ARROW_RIGHT],
        [Keys.SHIFT + Keys.ARROW_RIGHT] * 4,
        [Keys.END],
        [Keys.ARROW_LEFT],
        [Keys.HOME],
    ):
        page.press(*keys)
        number, frame = page.shown()
        assert number == numbers[frame], keys
    assert frame == 0
    page.press(Keys.ARROW_RIGHT, "1")
    page.saved()
    start = read_labels(tmp_path / "labels.csv")[0].start  # what the page shows is what is saved
    assert page.text("#clock") == f"0:{start:06.3f}"
    page.press("u", Keys.HOME)
    page.press("l")  # twice as fast
    page.wait(lambda: page.frame > len(numbers) // 6)
    page.press(" ")
    number, frame = page.shown()
    assert number == numbers[frame] and frame >= len(numbers) // 6
    assert page.text("#speed") == "2×"


def test_a_browser_without_h264_is_told(page, serve, recordings, tmp_path):
    """As Firefox is where no libavcodec is installed."""
    script = {"source": "MediaSource.isTypeSupported = () => false"}
    added = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", script)
    page.driver.get(serve(recordings / "mpeg2.ts", tmp_path / "labels.csv").address)
    page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    page.wait(lambda: "this browser can't play H.264" in page.text("#problem"))


def test_snapping_to_cuts(page, serve, tmp_path):
    """Four shots of plain colour; an edge 5 frames late goes to where the second begins, then the third."""
    shots = {"red": 2, "blue": 1, "white": 1, "green": 2}
    colors = (f"-f lavfi -i color={name}:size=160x96:rate=25:duration={s}" for name, s in shots.items())
    ffmpeg(*colors, "-filter_complex concat=n=4", *H264[:8], tmp_path / "match.mp4")
    page.open(serve(tmp_path / "match.mp4", classes=("A", "B")).address)
    page.wait(lambda: page.run("return document.getElementById('search').dataset.done") == "true")
    assert page.text("#search-text") == "3 cuts found"
    page.press("1")
    page.go_to(55)
    page.press("2", "s")
    page.saved()
    assert saved_labels(tmp_path / "labels.csv") == [(0, "A"), (50, "B")]
    page.press("s")
    page.saved()
    assert saved_labels(tmp_path / "labels.csv") == [(0, "A"), (75, "B")]
    page.press(Keys.BACKSPACE)
    page.go_to(70)
    page.press("2", "s")  # 20 frames late for the second shot, 5 early for the third
    page.saved()
    assert saved_labels(tmp_path / "labels.csv") == [(0, "A"), (50, "B")]
    page.press(Keys.HOME, Keys.SHIFT + Keys.ARROW_DOWN)
    assert page.frame == 50


def test_a_second_page_is_told(page, serve, tmp_path):
    recording = numbered(tmp_path / "match.mp4", *H264, seconds=2)
    running = serve(recording, classes=("A", "B"))
    page.open(running.address)
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    try:
        page.open(running.address)
        assert "Another page has these labels open" in page.text("#other")
        page.press("1")
        assert not (tmp_path / "labels.csv").exists()
        page.click("#take-over")
        page.wait(lambda: page.run("return document.getElementById('other').hidden"))
        page.press("2")
        page.saved()
        page.driver.switch_to.window(first)
        page.press("1")
        page.wait(lambda: "nother page has taken over" in page.text("#other"))
        assert saved_labels(tmp_path / "labels.csv") == [(0, "B")]
    finally:
        for handle in set(page.driver.window_handles) - {first}:
            page.driver.switch_to.window(handle)
            page.driver.close()
        page.driver.switch_to.window(first)


def test_another_program_changes_the_labels(page, serve, tmp_path):
    recording = numbered(tmp_path / "match.mp4", *H264, seconds=2)
    path = tmp_path / "labels.csv"
    page.open(serve(recording, classes=("A", "B")).address)
    path.write_text("0,1,B\n")
    page.press("1")
    page.wait(lambda: page.is_there("#changed") and page.text("#saved") == "Not saved")
    assert "was changed by another program" in page.text("#changed")
    assert path.read_text() == "0,1,B\n"
    page.click("#save-mine")
    page.saved()
    assert saved_labels(path) == [(0, "A")] and not page.is_there("#changed")
    (copy,) = tmp_path.glob("labels.csv.bak-*")
    assert copy.read_text() == "0,1,B\n" and str(copy) in page.text("#saved")
    path.write_text("0,1,C\n")
    page.wait(lambda: page.is_there("#changed"))  # also if nothing is changed here
    page.click("#load-theirs")
    page.wait(lambda: page.text("#saved").startswith("Opened"))
    assert "C" in page.text("#rows") and not page.is_there("#changed")
    page.press("u")
    page.saved()
    assert saved_labels(path) == [(0, "A")]


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Another page of this machine."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<p>elsewhere</p>")

    def log_message(self, *arguments):
        pass


def test_another_page_gets_nothing(page, serve, tmp_path):
    """Even if it knows the token."""
    recording = numbered(tmp_path / "match.mp4", *H264, seconds=2)
    running = serve(recording, classes=("A",))
    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page.driver.get(f"http://127.0.0.1:{other.server_port}/")
        script = """
            const [address, done] = arguments;
            const image = new Image();
            image.onload = () => done("loaded");
            image.onerror = () => fetch(address.replace("/?", "/segments?"), {method: "POST", mode: "no-cors",
              body: JSON.stringify({page: "x", version: 0, segments: [[0, "A", null]]})})
              .then(() => fetch(address.replace("/?", "/recording?")))
              .then(() => done("read"), () => done("refused"));
            image.src = address.replace("/?", "/shot/0?");
        """
        running.session.claim("x", True)
        page.wait(lambda: running.session.shots.picture(0))
        assert page.driver.execute_async_script(script, running.address) == "refused"
        other.shutdown()
    assert running.session.version == 0


def test_names_are_text(page, serve, tmp_path):
    name = "<img src=x onerror=document.title='owned'>"
    recording = numbered(tmp_path / "<i>match.mp4", *H264, seconds=2)
    (tmp_path / "labels.csv").write_text(f'0,1,"{name.replace("/", "")}"\n')
    page.open(serve(recording).address)
    assert page.text("h1") == "<i>match.mp4" and name in page.text("#rows")
    assert page.run("return document.querySelectorAll('#rows img, h1 i').length") == 0
    assert "owned" not in page.driver.title


def test_use_for_training(page, serve, tmp_path):
    recording = numbered(tmp_path / "match.mp4", *H264, seconds=8)
    (tmp_path / "labels.csv").write_text("0,4,A\n4,8,B\n")
    page.open(serve(recording).address)
    page.click("#training-open")
    page.wait(lambda: "cut_clips.py" in page.text("#commands"))
    assert page.text("#training-rows").split() == ["A", "1", "1", "0", "B", "1", "1", "0"]
    assert "A: no clips to test on" in page.text("#training-notes")
    page.click("#clip-seconds")
    page.press(Keys.BACKSPACE)
    page.wait(lambda: "is a number of seconds" in page.text("#training-problem"))
    assert not page.is_there("#commands") and not page.is_there("#training-table")
    page.press("2")
    page.wait(lambda: "--seconds 2" in page.text("#commands"))
    page.press(Keys.ESCAPE)


def test_the_command(page, tmp_path):
    """It prints the address, saves, says so when it ends, and leaves nothing else behind."""
    numbered(tmp_path / "match.mp4", *H264, seconds=2)
    command = [
        sys.executable,
        os.path.join(ROOT, "label.py"),
        "match.mp4",
        "--classes",
        "A,B",
        "--no-browser",
    ]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        address = re.search(r"http://127.0.0.1:\d+/\?token=\S+", process.stdout.readline())[0]
        page.open(address).press("2")
        page.saved()
        again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert again.returncode == 1 and "labels.csv: another label.py has it open" in again.stderr
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and not errors
    (tmp_path / "next.ts").write_bytes(b"")
    assert "Ended. labels.csv: 1 labelled segment, 1 change saved" in output
    assert sorted(os.listdir(tmp_path)) == ["labels.csv", "match.mp4", "next.ts"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert "labels.csv, which is there already" in errors and "label.py match.mp4 match.csv" in errors
    page.wait(lambda: "label.py has ended" in page.text("#saved"))
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 143  # as of the other commands


@pytest.mark.slow
def test_the_demos_recording_in_one_pass(page, serve, tmp_path):
    """Nine cuts of 184 s, exactly, by keys while it plays at double speed: in less than 100 s of the page's
    clock. Each key comes up to some frames late, as a person's does, and S makes up for that."""
    shutil.copy(os.path.join(ROOT, "data", "demo", "prepare.py"), tmp_path)
    environment = {**os.environ, "PYTHONPATH": ROOT}
    subprocess.run(
        [sys.executable, tmp_path / "prepare.py"], env=environment, check=True, stderr=subprocess.DEVNULL
    )
    sys.path.insert(0, os.path.join(ROOT, "data", "demo"))
    import prepare

    cuts, at = [], 0
    for class_name, seconds in prepare.STRETCHES:
        cuts.append((at, class_name))
        at += round(seconds * prepare.FPS)
    page.open(
        serve(tmp_path / "Football.mp4", tmp_path / "mine.csv", classes=("Football", "Commercial")).address
    )
    page.wait(lambda: page.run("return document.getElementById('search').dataset.done") == "true")
    start = page.run("return performance.now()")
    page.press("1", "l")
    rows = "return [...document.querySelectorAll('#rows tr')].at(-1).querySelector('button').title"
    for cut, class_name in cuts[1:]:
        wait_for_frame(page, cut + 3)
        page.press("1" if class_name == "Football" else "2")
        for _ in range(4):
            if page.run(rows) == f"Go to frame {cut}":
                break
            page.press("s")
    wait_for_frame(page, at - 1)
    seconds = (page.run("return performance.now()") - start) / 1000
    page.saved()
    assert saved_labels(tmp_path / "mine.csv") == cuts
    assert seconds < 100


def wait_for_frame(page, frame):
    until = time.monotonic() + 120
    while page.run("return +document.getElementById('position').dataset.frame") < frame:
        assert time.monotonic() < until
