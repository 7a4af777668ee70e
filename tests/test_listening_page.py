"""The page of listening tests in a real browser: a scripted rater consents, listens, rates, reloads half-way and finishes."""

import http.server
import json
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import browser
from browser import Browser, Proxy
from counterpoint.listening.build import Wanted
from counterpoint.listening.report import analyse
from counterpoint.listening.study import Key, Study
from listeners import small_test

PROGRAM = browser.find()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason=f"needs a browser: none of {', '.join(browser.NAMES)} is installed")

SERVE = "import sys; from counterpoint.commands.listen import listen_app; listen_app(['serve', sys.argv[1], '--port', '0'])"
TRUTH = {"system-jasco": 7, "system-musicgen": 5, "reference": 10, "anchor": 2}
STATE = "JSON.parse(localStorage.getItem(Object.keys(localStorage)[0]))"


class Served:
    """`listen serve` as a process that can be killed and started again."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-u", "-c", SERVE, str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], 60)[0], "the server does not start"
        self.port = int(self.process.stdout.readline().split("/")[2].split(":")[1])

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Browser]:
    assert PROGRAM is not None
    with browser.opened(PROGRAM, tmp_path / "profile") as opened:
        yield opened


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.close()


def agree(page: Browser, key: Key) -> None:
    """From consent to the first page of the test; the tones of the headphone check play eight times as fast."""
    page.wait("!!document.querySelector('#agree')")
    assert page.run("[...document.querySelectorAll('button')].every((b) => b.disabled)")  # no start without consent
    page.click("#agree")
    page.press("Begin")
    page.press("Play the noise")
    page.press("It is comfortable")
    play_at(page, 8)
    for number, quiet in enumerate(key.headphones, start=1):
        page.wait(f"document.querySelector('h1')?.textContent.includes('{number} of')")
        page.press("Play the three tones")
        page.press(("The first", "The second", "The third")[quiet])
    page.wait("document.querySelector('h1')?.textContent === 'Your task'")
    play_at(page, 1)
    page.press("Start the test")


def play_at(page: Browser, speed: int) -> None:
    """What is played from now on is played so many times as fast."""
    page.run("window.play ??= HTMLMediaElement.prototype.play")
    page.run(f"HTMLMediaElement.prototype.play = function () {{ this.playbackRate = {speed}; return window.play.call(this); }}")


def trial_of(page: Browser, study: Study) -> str:
    """The page that is being answered."""
    page.wait(f"{STATE}.draft !== null")
    return page.run(f"{STATE}.draft.trial")


def mark_of(key: Key, study: Study, trial: str) -> int:
    if key.trials[trial].expected:
        return 3
    clips = next(shown.clips for shown in study.trials if shown.id == trial)
    return TRUTH[key.clips[clips[0]].system]


def rate(page: Browser, mark: int, question: int) -> None:
    """The first with the keyboard, the second with the mouse."""
    page.wait("!document.querySelector('fieldset').disabled")
    if question == 0:
        page.key(str(mark % 10), f"Digit{mark % 10}")
    else:
        page.click(f"#match-{mark}")
    assert page.run(f"document.querySelectorAll('fieldset')[{question}].querySelector(':checked').value") == str(mark)


def test_a_rater_listens_rates_reloads_and_finishes(page: Browser, proxy: Proxy, tmp_path: Path) -> None:
    folder, study, key = small_test(tmp_path, Wanted(per_rater=1))
    server = Served(folder)
    try:
        proxy.target = server.port
        page.open(f"http://127.0.0.1:{proxy.port}/")
        agree(page, key)
        count = len(study.orders[0])
        for number in range(1, count + 1):
            page.wait(f"document.querySelector('h1')?.textContent === 'Clip {number}'")
            trial = trial_of(page, study)
            mark = mark_of(key, study, trial)
            if number == 1:
                nothing_is_given_away(page)
            page.wait("document.querySelector('.deck').getAttribute('aria-busy') === 'false'")  # the server may be away
            page.key(" ", "Space")
            rate(page, mark, 0)
            if number == count // 2:
                page.open(f"http://127.0.0.1:{proxy.port}/")  # half-way, between two questions
                page.wait(f"document.querySelector('h1')?.textContent === 'Clip {number}'")
                assert trial_of(page, study) == trial
                assert page.run("document.querySelector(':checked').value") == str(mark)  # what was rated is still rated
                page.wait("!document.querySelector('fieldset').disabled")  # and what was heard, heard
                assert page.run("document.querySelector('.play').textContent") == "Play"  # nothing has played since
            assert page.run("document.querySelector('.next').disabled")
            rate(page, mark, 1)
            if number == count - 2:
                server.kill()
                page.press("Next")
                page.wait("document.querySelector('#saved').textContent.startsWith('1 of your answers')")
                server.start()
                proxy.target = server.port
            else:
                page.key("Enter", "Enter")
        page.wait("document.querySelector('h1')?.textContent === 'Thank you!'")
        assert page.run("document.querySelector('main').textContent.includes('have arrived')")
        told = [json.loads(line) for line in page_lines(page)]
    finally:
        server.kill()
    assert page.problems == [] or all("Failed to load resource" in problem for problem in page.problems)  # the killed server
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["rater", "headphones"] + ["answer"] * count
    assert [study.trials[place].id for place in study.orders[0]] == [line["trial"] for line in lines[2:]]
    assert lines[0]["sample_rate"] > 8000 and "Chrom" in lines[0]["agent"]
    for line in lines[2:]:
        (heard,), (plays,) = line["heard"].values(), line["plays"].values()
        assert 0.9 <= heard < 3 and 1 <= plays <= 3 and line["seconds"] > 0.9
    assert [{k: v for k, v in line.items() if k != "received"} for line in lines[1:]] == told[1:]  # the download says the same
    report = analyse(folder)
    assert (report.kept, sum(report.removed.values())) == (1, 0)
    assert {(row.system, row.question): row.mean for row in report.lines} == {
        (system, question): mark for system, mark in TRUTH.items() for question in ("smoothness", "match")
    }
    received = bytes(proxy.received)
    assert b"Transition smoothness" in received and study.noise.encode() in received and len(received) > 200000
    for secret in ("system-jasco", "system-musicgen", "originals", "stem-0", "stem-1", "anchor", key.secret):
        assert secret.encode() not in received and secret not in str(told)


def page_lines(page: Browser) -> list[str]:
    """What 'download my answers' would save."""
    page.run("URL.createObjectURL = (blob) => { blob.text().then((text) => (window.saved = text)); return '#'; }")
    page.press("Download my answers")
    return page.wait("window.saved").splitlines()


def nothing_is_given_away(page: Browser) -> None:
    """Before anything was heard nothing can be answered, by no way; the picture is there, and skipping is not hearing."""
    assert page.run("[...document.querySelectorAll('fieldset')].every((f) => f.disabled)")
    assert page.run("document.querySelectorAll(':checked').length") == 0
    page.key("5", "Digit5")
    page.key("Enter", "Enter")
    assert page.run("document.querySelectorAll(':checked').length") == 0
    for across in (0.2, 0.5, 0.9, 0.002):
        page.click("canvas", across)
    assert page.run("document.querySelector('fieldset').disabled")
    play_at(page, 8)
    page.key(" ", "Space")
    page.wait("document.querySelector('.clock').textContent.startsWith('0:01.0')")
    assert page.run("document.querySelector('fieldset').disabled")  # nor is hearing it eight times as fast
    play_at(page, 1)
    page.click("canvas", 0.002)
    yellow = "[...document.querySelector('canvas').getContext('2d').getImageData(0, 3, canvas.width, 1).data]"
    row = page.run(f"(() => {{ const canvas = document.querySelector('canvas'); return {yellow}; }})()")
    pixels = [tuple(row[i : i + 3]) for i in range(0, len(row), 4)]
    marked = [i / len(pixels) for i, (red, green, blue) in enumerate(pixels) if red > 250 and 230 < green < 250 and blue < 160]
    assert abs(min(marked) - 0.4) < 0.01 and abs(max(marked) - 0.7) < 0.01  # rgba(255, 220, 0, .45) on white, over the span
    cursor = [i for i, (red, green, blue) in enumerate(pixels) if red > 200 and green < 60 and blue < 60]
    assert cursor and cursor[0] < 0.02 * len(pixels)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_without_a_server_the_answers_can_be_downloaded(page: Browser, tmp_path: Path) -> None:
    """A test of preferences that any web server hands out: nothing can be sent, all is kept, and the file is what counts."""
    folder, study, key = small_test(tmp_path, Wanted(kind="ab", headphones=False, per_rater=1), items=2)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        page.open(f"http://127.0.0.1:{server.server_address[1]}/")
        agree(page, key)
        order = page.run(f"{STATE}.order")
        for number in range(1, len(study.orders[order]) + 1):
            page.wait(f"document.querySelector('h1')?.textContent === 'Pair {number}'")
            trial = trial_of(page, study)
            first, second = (TRUTH[key.clips[c].system] for c in next(t.clips for t in study.trials if t.id == trial))
            for name in "AB":
                page.run(f"[...document.querySelectorAll('.deck .choice')].find((b) => b.textContent === '{name}').click()")
                page.wait("document.querySelector('.choice[aria-pressed=true]').classList.contains('heard')")
            better = "b" if key.trials[trial].expected else "a" if first > second else "b" if second > first else "n"
            page.wait("!document.querySelector('fieldset').disabled")
            page.key(better)
            page.key("Enter", "Enter")
        page.wait("document.querySelector('h1')?.textContent === 'Thank you!'")
        assert page.run("document.querySelector('main').textContent.includes('download them here')")
        lines = page_lines(page)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    (folder / "answers.jsonl").write_text("".join(f"{line}\n" for line in lines))
    report = analyse(folder)
    assert (report.kept, sum(report.removed.values())) == (1, 0)
    won = {(row.first, row.second): row.mean for row in report.differences}
    assert won["system-jasco", "system-musicgen"] == 1.0 and won["reference", "anchor"] == 1.0


def test_several_clips_are_rated_beside_a_reference(page: Browser, tmp_path: Path) -> None:
    folder, study, key = small_test(tmp_path, Wanted(kind="mushra", headphones=False, repeats=0, per_rater=1), items=2)
    server = Served(folder)
    try:
        page.open(f"http://127.0.0.1:{server.port}/")
        agree(page, key)
        for number in (1, 2):
            page.wait(f"document.querySelector('h1')?.textContent === 'Group {number}'")
            trial = trial_of(page, study)
            shown = next(t for t in study.trials if t.id == trial)
            for name in ("Reference", "A", "B", "C", "D"):
                page.run(f"[...document.querySelectorAll('.deck .choice')].find((b) => b.textContent === '{name}').click()")
                page.wait("document.querySelector('.choice[aria-pressed=true]').classList.contains('heard')")
            page.wait("!document.querySelector('fieldset').disabled")
            for place, clip in enumerate(shown.clips):
                assert page.run("document.querySelector('.next').disabled")  # no slider has a value before it is touched
                mark = 100 if key.trials[trial].expected else 10 * TRUTH[key.clips[clip].system]
                slider = f"document.querySelectorAll('input[type=range]')[{place}]"
                page.run(f"{slider}.value = {mark}; {slider}.dispatchEvent(new Event('input'))")
            page.press("Next")
        page.wait("document.querySelector('h1')?.textContent === 'Thank you!'")
        number = page.run("document.querySelector('#rater').textContent")
        report = analyse(folder)
        page.run("window.confirm = () => true")
        page.press("Withdraw")
        page.wait("document.querySelector('h1')?.textContent === 'Withdrawn'")
        assert page.run("localStorage.length") == 0
    finally:
        server.kill()
    assert {row.system: row.mean for row in report.lines} == {system: 10.0 * mark for system, mark in TRUTH.items()}
    assert json.loads((folder / "answers.jsonl").read_text().splitlines()[-1])["kind"] == "withdrawal"
    assert number in (folder / "answers.jsonl").read_text()
    assert page.problems == []
