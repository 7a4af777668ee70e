"""A headless Chromium that tests drive through its DevTools pipe, and a proxy that keeps every byte the browser gets."""

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-pipe",
    "--window-size=1100,950",
)
LAUNCH = """
import os, sys
kept = [os.dup(int(sys.argv[i]), ) for i in (1, 2)]
high = [os.dup2(fd, 100 + i, inheritable=False) for i, fd in enumerate(kept)]
os.dup2(high[0], 3); os.dup2(high[1], 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads commands from descriptor 3 and answers on 4."""


def find() -> str | None:
    """The path of a Chromium or Chrome of this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page.  `run` evaluates an expression in it, `wait` until one is true."""

    def __init__(self, program: str, profile: Path):
        read_here, write_there = os.pipe()
        read_there, write_here = os.pipe()
        command = [sys.executable, "-c", LAUNCH, str(read_there), str(write_there), program, *FLAGS]
        command += [f"--user-data-dir={profile}", "about:blank"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, pass_fds=(read_there, write_there), start_new_session=True, **quiet)
        os.close(read_there)
        os.close(write_there)
        self._out, self._in = os.fdopen(write_here, "wb", buffering=0), os.fdopen(read_here, "rb", buffering=0)
        self._buffer, self._number = b"", 0
        self.problems: list[str] = []
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = self._in.read(1 << 16)
            assert piece, "the browser has ended"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A DevTools command and its result; what the page throws or logs as an error is kept in `problems`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if method.split(".")[0] not in ("Target", "Browser"):
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("method") == "Runtime.exceptionThrown":
                self.problems.append(json.dumps(answer["params"]["exceptionDetails"]))
            if answer.get("method") == "Log.entryAdded" and answer["params"]["entry"]["level"] == "error":
                self.problems.append(answer["params"]["entry"]["text"])
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def run(self, expression: str) -> Any:
        """The value of an expression, a promise's awaited."""
        told = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def wait(self, expression: str, seconds: float = 30.0) -> Any:
        """The value of an expression as soon as it is true."""
        until = time.monotonic() + seconds
        while not (value := self.run(expression)):
            page = self.run("document.body.innerText")
            assert time.monotonic() < until, f"{expression} is not true in {seconds} s; the page: {page}"
            time.sleep(0.05)
        return value

    def open(self, address: str) -> None:
        """Load a page, or the same one again."""
        self.run("window.left = true")
        self.send("Page.navigate", url=address)
        self.wait("!window.left && document.readyState === 'complete'")

    def key(self, key: str, code: str = "") -> None:
        """Press and release a key."""
        text = key if len(key) == 1 else {"Enter": "\r"}.get(key, "")
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, code=code, text=text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, code=code)

    def click(self, selector: str, across: float = 0.5) -> None:
        """Press the mouse on an element, `across` of its width from the left."""
        place = self.run(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
            " const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()"
        )
        spot = {"x": place[0] + across * place[2], "y": place[1] + place[3] / 2, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, **spot)

    def press(self, text: str) -> None:
        """Click the button that says `text`, when it can be clicked."""
        found = f"[...document.querySelectorAll('button')].find((b) => b.textContent.startsWith({text!r}) && !b.disabled)"
        self.wait(f"!!{found}")
        self.run(f"{found}.click()")

    def picture(self, path: Path) -> None:
        """A PNG of the whole page."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        made = self.send("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(made["data"]))

    def close(self) -> None:
        """End the browser with all its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=20)
        self._out.close()
        self._in.close()


class Proxy:
    """Connections to `port`, passed on to wherever `target` is at that moment; `received` is all that the browser was sent."""

    def __init__(self) -> None:
        self.target = 0
        self.received = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        self._open |= {client, server}
        threads = [
            threading.Thread(target=self._copy, args=(client, server, None), daemon=True),
            threading.Thread(target=self._copy, args=(server, client, self.received), daemon=True),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._open -= {client, server}
        client.close()
        server.close()

    def _copy(self, source: socket.socket, sink: socket.socket, record: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                if record is not None:
                    record += piece
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """No more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def opened(program: str, profile: Path) -> Iterator[Browser]:
    """A browser for the block."""
    browser = Browser(program, profile)
    try:
        yield browser
    finally:
        browser.close()
