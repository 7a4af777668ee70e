"""`counterpoint listen`: make a listening test, run it, and read what it says."""

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from counterpoint.commands.terminal import progress, say
from counterpoint.ending import NOTHING, interruptible

if TYPE_CHECKING:
    from rich.table import Table

    from counterpoint.listening.report import Report
    from counterpoint.listening.server import Server

listen_app = App(name="listen", help="Listening tests: let people rate what models make.", help_format="plaintext")
LOCAL = ("127.0.0.1", "localhost", "::1")


@listen_app.command
def build(
    *runs: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    kind: Literal["rating", "ab", "mushra"] = "rating",
    reference: Path | None = None,
    spans: Path | None = None,
    anchor: Literal["auto", "step", "fill", "lowpass", "none"] = "auto",
    items: int = 0,
    repeats: int = 1,
    headphones: bool = True,
    lufs: float = -23.0,
    seed: int = 0,
    title: str = "Listening test",
    consent: Path | None = None,
) -> None:
    """Make a listening test: a folder that a browser plays, with nothing in it that tells which clip is whose.

    Parameters
    ----------
    runs
        One folder of audio for each system, named like it; files of one name are versions of one item.
    output
        The folder to write.
    kind
        rating: one clip at a time, on scales of 1 to 10; ab: which of two is better; mushra: several beside a reference.
    reference
        A folder of original recordings: the hidden reference, and what the low anchor is made from.
    spans
        A JSON file of in-painted parts: {"item": {"mask_start": 2.0, "mask_end": 7.0}}; else from a .json beside the audio.
    anchor
        The low anchor: fill (another song in the span), step (the span 6 dB down), lowpass (3.5 kHz), none; auto: what suits.
    items
        How many items one listener hears; by default as many as half an hour holds.
    repeats
        How many pages come again, to see how steady a listener is.
    headphones
        Begin with a check for headphones.
    lufs
        What all clips are brought to, each with one gain.
    seed
        The same material and seed give the same bytes.
    title
        The heading that listeners read.
    consent
        A text file that replaces what listeners agree to; empty lines part its paragraphs.
    """
    from counterpoint.listening.build import Wanted
    from counterpoint.listening.build import build as write_test

    own = consent.read_text(encoding="utf-8") if consent is not None else None
    wanted = Wanted(kind, anchor, lufs, seed, items, repeats, headphones, title, own)
    with interruptible(lambda: NOTHING), progress("writing clips") as bar:
        study = write_test(list(runs), output, reference, spans, wanted, bar)
    _say_built(output, len(study.orders[0]), len(study.orders), seed)


def _say_built(output: Path, pages: int, orders: int, seed: int) -> None:
    from counterpoint.listening.study import load_key

    say(f"{output}: {pages} pages for each listener, in {orders} orders (seed {seed})")
    for note in load_key(output).notes:
        say(f"  {note}")
    say(f"  next: counterpoint listen serve {output}")
    say("  private/key.json tells which clip is whose: leave it out where another server hands the folder out")


@listen_app.command
def serve(test: Path, /, *, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Run a listening test and keep the answers, each on the disk before it is acknowledged; Ctrl-C ends it.

    Parameters
    ----------
    test
        The folder that listen build has written.
    host
        Who may listen: this machine alone, or 0.0.0.0 for everyone who reaches it.
    port
        0 for any that is free.
    """
    from counterpoint.listening.server import Server

    server = _bind(Server, test, host, port)
    begun = len(server.log.known.orders)
    with server, interruptible(lambda: f"the answers are in {server.log.path}"):
        if host not in LOCAL:
            say(
                f"  warning: everyone who can reach {host} can take part; there is no password and no encryption. "
                "For listeners elsewhere, put it behind a web server that has both."
            )
        shown = f"[{host}]" if ":" in host else host
        say(f"http://{shown}:{server.server_address[1]}/ ({begun} listeners so far; Ctrl-C ends it)")
        server.serve_forever()


def _bind(server: "type[Server]", test: Path, host: str, port: int) -> "Server":
    try:
        return server(test, host, port)
    except OverflowError:
        raise ValueError(f"--port must be from 0 to 65535, not {port}.") from None
    except OSError as error:
        reason = "in use, or not this machine's" if error.errno == errno.EBADF else error.strerror
        raise ValueError(f"{host}:{port} cannot be used ({reason}); choose another --port or --host.") from error


@listen_app.command
def report(test: Path, /) -> None:
    """Say what the listeners found, and write it into the test's report.json.

    Parameters
    ----------
    test
        The folder with the answers.
    """
    from rich.console import Console

    from counterpoint.listening.report import analyse, save

    made = analyse(test)
    path = save(made, test)
    console = Console()
    say(f"{made.kept} of {made.raters} listeners are counted, {made.withdrawn} have withdrawn")
    for name, words in made.rules.items():
        say(f"  left out: {made.removed[name]} who {words}")
    console.print(_systems(made))
    if made.differences:
        console.print(_pairs(made))
    for name, alpha in made.agreement.items():
        say(f"agreement on {name}: Krippendorff's alpha {_figure(alpha)} (ordinal)")
    for note in made.notes:
        say(f"note: {note}")
    say(f"{path}: all figures")


def _systems(made: "Report") -> "Table":
    table = _table("What each system got, with 95 % intervals over listeners and items", ("question", "system"))
    for column in ("mean", "interval", "median", "judgments"):
        table.add_column(column, justify="right")
    for line in made.lines:
        figures = (_figure(line.mean), _interval(line.low, line.high), _figure(line.median), str(line.n))
        table.add_row(line.question, line.system, *figures)
    return table


def _pairs(made: "Report") -> "Table":
    table = _table("Differences between what one listener gave to two versions of an item", ("question", "first - second"))
    for column in ("mean", "interval", "Cliff", "p (Holm)", "pairs"):
        table.add_column(column, justify="right")
    for row in made.differences:
        figures = (_figure(row.mean), _interval(row.low, row.high), _figure(row.delta), _p_value(row.p_holm), str(row.n))
        table.add_row(row.question, f"{row.first} - {row.second}", *figures)
    return table


def _table(title: str, names: tuple[str, ...]) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _figure(value: float) -> str:
    return "-" if value != value else f"{value:.2f}"


def _p_value(value: float) -> str:
    return "-" if value != value else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _interval(low: float, high: float) -> str:
    return "-" if low != low else f"{low:.2f} to {high:.2f}"
