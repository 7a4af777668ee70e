"""How fast the two renderers play the corpus' scores: `python benchmarks/render_speed.py [CLIPS]`.

One thread, 10 s clips at 32 kHz, CPU time (so that a busy machine does not change the answer); every style in turn.
"""

import datetime
import os
import platform
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from counterpoint import __version__, audio
from counterpoint.data.corpus import synth
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.soundfont import SoundfontRenderer
from counterpoint.data.corpus.styles import STYLES
from counterpoint.music import Brief, Score

SECONDS, RATE = 10.0, 32000
Render = Callable[[Score, int, int], np.ndarray]


def _timed(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _report(name: str, render: Render, scores: list[Score], channels: int) -> None:
    render(scores[0], RATE, channels)  # loads tables and samples
    times = [_timed(lambda score=score: render(score, RATE, channels)) for score in scores]
    speeds = SECONDS / np.array(times)
    overall = len(scores) * SECONDS / sum(times)
    print(f"{name:10s} {channels} channel(s)  {overall:6.1f} x real time per core   slowest clip {speeds.min():6.1f} x")


def _main(clips: int) -> None:
    torch.set_num_threads(1)
    print(f"counterpoint {__version__}, {datetime.date.today()}, {_processor()}, {os.cpu_count()} cores")
    print(f"{clips} clips of {SECONDS:.0f} s at {RATE} Hz, one thread, CPU time")
    names = list(STYLES)
    scores: list[Score] = []
    composing = _timed(lambda: scores.extend(compose(Brief(style=names[i % len(names)]), SECONDS, i) for i in range(clips)))
    print(f"{'compose':10s}               {clips * SECONDS / composing:6.1f} x real time per core")
    renderers: dict[str, Render] = {"builtin": synth.render}
    try:
        renderers["soundfont"] = SoundfontRenderer().render
    except ValueError as error:
        print(f"soundfont  left out: {error}")
    for name, render in renderers.items():
        for channels in (1, 2):
            _report(name, render, scores, channels)
    sound = torch.from_numpy(synth.render(scores[0], RATE, 1))
    loudness = _timed(lambda: [audio.normalise(sound, RATE) for _ in range(10)]) / 10
    print(f"{'normalise':10s} 1 channel(s)  {SECONDS / loudness:6.1f} x real time per core")


if __name__ == "__main__":
    _main(int(sys.argv[1]) if len(sys.argv) > 1 else 36)
