"""The server of listening tests: what it hands out, what it takes, and that an acknowledged answer survives everything."""

import http.client
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from counterpoint.listening import answers
from counterpoint.listening.answers import read_answers
from counterpoint.listening.build import Wanted
from counterpoint.listening.server import Server, byte_range
from counterpoint.listening.study import Key, Study
from listeners import records, small_test

SERVE = "import sys; from counterpoint.commands.listen import listen_app; listen_app(['serve', sys.argv[1], '--port', '0'])"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study, Key]:
    return small_test(tmp_path_factory.mktemp("listening"), Wanted(headphones=False), items=1)


@pytest.fixture
def running(made: tuple[Path, Study, Key]) -> Iterator[Server]:
    (made[0] / "answers.jsonl").unlink(missing_ok=True)
    server = Server(made[0], port=0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(
    port: int, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {"Content-Type": "application/json"} if data is not None else {}
    connection.request(method, target, data, {**kind, **(headers or {})})
    answer = connection.getresponse()
    result = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return result


def post(port: int, record: Any) -> int:
    return ask(port, "POST", "/api/records", record)[0]


def begin(port: int, rater: str) -> int:
    """The order that a rater is given."""
    return json.loads(ask(port, "POST", "/api/records", {"kind": "rater", "rater": rater})[2])["order"]


def opinion(system: str, item: str, question: str) -> int:
    return 7


def test_the_page_is_handed_out_and_the_key_is_not(running: Server, made: tuple[Path, Study, Key]) -> None:
    folder, study, key = made
    port = running.server_address[1]
    (folder / "answers.jsonl").write_text("")
    (folder / "page" / "link.js").unlink(missing_ok=True)
    (folder / "page" / "link.js").symlink_to(folder / "private" / "key.json")
    public = ["/", "/index.html", "/items.json", "/page/main.js", "/page/style.css", f"/audio/{study.noise}.wav"]
    for target in public:
        status, headers, body = ask(port, "GET", target)
        assert status == 200 and int(headers["Content-Length"]) == len(body) > 100
        assert ask(port, "HEAD", target)[1]["Content-Length"] == headers["Content-Length"]
    assert ask(port, "GET", "/page/main.js")[1]["Content-Type"] == "text/javascript"
    hidden = [
        "/private/key.json", "/private", "/audio/../private/key.json", "/audio/%2e%2e/private/key.json",
        "/page/..%2fprivate%2fkey.json", "//private//key.json", "/PRIVATE/key.json", "/page/link.js", "/answers.jsonl",
        "/report.json", "/audio/", "/page", "/../../etc/passwd", "/audio/%00.flac", "/page/main.js/x", "/nothing",
    ]  # fmt: skip
    for target in hidden:
        status, _, body = ask(port, "GET", target)
        assert status == 404 and key.secret.encode() not in body, target
    (folder / "page" / "link.js").unlink()


def test_parts_of_audio(running: Server, made: tuple[Path, Study, Key]) -> None:
    folder, study, _ = made
    port, target = running.server_address[1], f"/audio/{study.noise}.wav"
    whole = (folder / "audio" / f"{study.noise}.wav").read_bytes()
    size = len(whole)
    parts = {
        "bytes=0-": (0, size),
        "bytes=10-19": (10, 20),
        f"bytes={size - 5}-{size + 90}": (size - 5, size),
        "bytes=-7": (size - 7, size),
    }
    for asked, (start, end) in parts.items():
        status, headers, body = ask(port, "GET", target, headers={"Range": asked})
        assert status == 206 and body == whole[start:end]
        assert headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
    status, headers, _ = ask(port, "GET", target, headers={"Range": f"bytes={size}-"})
    assert (status, headers["Content-Range"]) == (416, f"bytes */{size}")
    for nonsense in ("bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=-", "bytes=0-1,4-5"):
        status, headers, body = ask(port, "GET", target, headers={"Range": nonsense})
        assert status == 200 and body == whole and "Content-Range" not in headers
    with pytest.raises(ValueError):
        byte_range("bytes=-0", 10)


def test_what_is_acknowledged_is_in_the_file(running: Server, made: tuple[Path, Study, Key]) -> None:
    folder, study, key = made
    port = running.server_address[1]
    status, _, body = ask(
        port, "POST", "/api/records", {"kind": "rater", "rater": "ab" * 16, "agent": "a browser", "sample_rate": 48000}
    )
    assert status == 200 and json.loads(body) == {"kept": True, "order": 0}
    assert json.loads(ask(port, "POST", "/api/records", {"kind": "rater", "rater": "cd" * 16})[2])["order"] == 1
    assert (
        json.loads(ask(port, "POST", "/api/records", {"kind": "rater", "rater": "ab" * 16})[2])["order"] == 0
    )  # the same again
    sent = [record | {"rater": "ab" * 16} for record in records(study, key, 0, opinion)[1:]]
    for record in sent:
        assert post(port, record) == 200
        assert json.loads((folder / "answers.jsonl").read_text().splitlines()[-1])["trial"] == record["trial"]
    again = sent[0] | {"seconds": 99.0}
    assert post(port, again) == 200
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    assert len(lines) == 2 + len(sent) + 1  # both of the duplicates are kept
    assert all("received" in line for line in lines)


def test_what_does_not_fit_is_refused_and_leaves_no_trace(running: Server, made: tuple[Path, Study, Key]) -> None:
    folder, study, key = made
    port = running.server_address[1]
    good = records(study, key, 0, opinion)
    assert post(port, good[1]) == 410  # has not begun
    assert post(port, good[0]) == 200
    answer = next(r for r in good if r["kind"] == "answer")
    (clip,) = answer["marks"]
    marks = answer["marks"][clip]
    before = (folder / "answers.jsonl").read_bytes()
    bad: list[Any] = [
        answer | {"trial": "nothing"},
        answer | {"marks": {clip: marks | {"smoothness": 11}}},
        answer | {"marks": {clip: marks | {"smoothness": 0}}},
        answer | {"marks": {clip: marks | {"smoothness": 7.5}}},
        answer | {"marks": {clip: marks | {"smoothness": "7"}}},
        answer | {"marks": {clip: marks | {"smoothness": True}}},
        answer | {"marks": {clip: marks | {"else": 5}}},
        answer | {"marks": {clip: {"smoothness": 5}}},
        answer | {"marks": {}},
        answer | {"marks": {clip: marks, study.noise: marks}},
        answer | {"heard": {"x": 1.0}},
        answer | {"seconds": -1},
        answer | {"seconds": float("nan")},
        answer | {"name": "Ada"},
        answer | {"rater": "../x"},
        answer | {"kind": "other"},
        {"kind": "rater", "rater": "ef" * 16, "order": 99},
        {"kind": "headphones", "rater": good[0]["rater"], "choices": [0]},
        [], "x", 3, None, b"{", b"\xff",
    ]  # fmt: skip
    for record in bad:
        status, _, body = ask(port, "POST", "/api/records", record if record is not None else b"null")
        assert status == 400 and json.loads(body)["error"], record
    assert ask(port, "POST", "/api/records", b"x" * 70000)[0] == 413
    assert ask(port, "POST", "/api/records", answer, {"Content-Type": "text/plain"})[0] == 415
    assert ask(port, "POST", "/api/records", answer, {"Origin": "http://elsewhere.example"})[0] == 403
    assert ask(port, "POST", "/api/records", answer, {"Origin": f"http://127.0.0.1:{port}"})[0] == 200
    assert post(port, good[0]) == 200
    assert ask(port, "POST", "/items.json", answer)[0] == 404
    assert (folder / "answers.jsonl").read_bytes().startswith(before)
    assert len((folder / "answers.jsonl").read_text().splitlines()) == 2


def test_who_withdraws_is_forgotten(running: Server, made: tuple[Path, Study, Key]) -> None:
    folder, study, key = made
    port = running.server_address[1]
    for number in range(2):
        for record in records(study, key, number, opinion):
            assert post(port, record) == 200
    first = f"{0:032x}"
    assert ask(port, "DELETE", f"/api/raters/{'9' * 32}")[0] == 410
    assert ask(port, "DELETE", "/api/raters/x")[0] == 400 and ask(port, "DELETE", "/items.json")[0] == 404
    size = (folder / "answers.jsonl").stat().st_size
    assert ask(port, "DELETE", f"/api/raters/{first}")[0] == 200
    assert (folder / "answers.jsonl").stat().st_size > size  # appended, nothing is rewritten
    assert post(port, records(study, key, 0, opinion)[1]) == 410
    assert post(port, records(study, key, 0, opinion)[0]) == 410
    assert read_answers(folder, study).withdrawn == {first}


def test_many_at_once_lose_nothing(running: Server, made: tuple[Path, Study, Key]) -> None:
    folder, study, key = made
    port = running.server_address[1]
    raters = range(12)
    with ThreadPoolExecutor(12) as pool:
        done = list(pool.map(lambda n: [post(port, record) for record in records(study, key, n, opinion)], raters))
    assert all(status == 200 for statuses in done for status in statuses)
    known = read_answers(folder, study)
    assert known.torn == 0 and len(known.records) == sum(map(len, done)) and len(known.orders) == 12


def test_orders_are_handed_out_evenly(running: Server, made: tuple[Path, Study, Key]) -> None:
    port, count = running.server_address[1], len(made[1].orders)
    given = [
        json.loads(ask(port, "POST", "/api/records", {"kind": "rater", "rater": f"{n:032x}"})[2])["order"]
        for n in range(2 * count)
    ]
    assert sorted(given) == sorted([*range(count)] * 2)


def test_a_line_that_a_crash_cut_short_costs_that_line_alone(made: tuple[Path, Study, Key]) -> None:
    folder, study, key = made
    sent = records(study, key, 0, opinion)
    path = folder / "answers.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in sent[:2]) + '{"kind": "answer", "rat')
    log = answers.Log(folder, study)
    log.add(answers.record_of(sent[2]))
    log.close()
    known = read_answers(folder, study)
    assert known.torn == 1 and len(known.records) == 3


def test_a_full_disk_is_no_acknowledgement(
    running: Server, made: tuple[Path, Study, Key], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, study, key = made
    port = running.server_address[1]
    sent = records(study, key, 0, opinion)
    assert post(port, sent[0]) == 200
    write = os.write
    full = True

    def half(file: int, data: bytes) -> int:
        if full and file == running.log._file:
            write(file, data[:5])
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(answers.os, "write", half)
    status, _, body = ask(port, "POST", "/api/records", sent[1])
    assert status == 507 and "No space" in json.loads(body)["error"]
    full = False
    assert post(port, sent[1]) == 200 and post(port, sent[2]) == 200
    known = read_answers(folder, study)
    assert known.torn == 1 and len(known.records) == 3


def test_every_answer_is_synced_before_it_is_acknowledged(
    running: Server, made: tuple[Path, Study, Key], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, study, key = made
    sent = records(study, key, 0, opinion)
    synced: list[int] = []
    sync = os.fsync
    monkeypatch.setattr(answers.os, "fsync", lambda file: (synced.append(file), sync(file))[1])
    for number, record in enumerate(sent, start=1):
        assert post(running.server_address[1], record) == 200
        assert synced == [running.log._file] * number


def start(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """`listen serve` as a process of its own, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", SERVE, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 60)[0], "the server does not start"
    return process, int(process.stdout.readline().split("/")[2].split(":")[1])


def test_a_killed_server_loses_no_acknowledged_answer(made: tuple[Path, Study, Key]) -> None:
    """SIGKILL in the middle of a stream of answers, twice; every one that was acknowledged is there."""
    folder, study, key = made
    (folder / "answers.jsonl").unlink(missing_ok=True)
    acknowledged: list[tuple[str, str]] = []
    for life in range(2):
        process, port = start(folder)
        killer = threading.Timer(0.25 + 0.1 * life, process.kill)
        try:
            killer.start()
            for number in range(1000 * life, 1000 * life + 1000):
                for record in records(study, key, number, opinion):
                    assert post(port, record) == 200
                    acknowledged.append((record["rater"], record.get("trial", "")))
        except (OSError, http.client.HTTPException):
            pass
        finally:
            killer.cancel()
            process.kill()
            process.communicate()
    assert len(acknowledged) > 20
    known = read_answers(folder, study)
    kept = {(record.rater, record.trial if isinstance(record, answers.Answer) else "") for record in known.records}
    assert set(acknowledged) <= kept
    assert known.torn <= 2


def test_control_c_ends_it(made: tuple[Path, Study, Key]) -> None:
    process, port = start(made[0])
    try:
        assert ask(port, "GET", "/")[0] == 200
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
    assert "the answers are in" in said and process.returncode != 0
