"""Files that appear whole or not at all, one sentence where they cannot be written, and which of many texts name files."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What keeps the block from writing at `path` (no room, no permission) becomes a ValueError of one sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(f"{path} cannot be written ({reason}); choose another folder or make room there.") from error


@contextmanager
def renamed(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when the block ends well: a file appears whole or not at all.

    Missing folders are made.  What a kill leaves behind is overwritten the next time.  Raises ValueError as `writing` does.
    """
    temporary = path.with_name(f".{path.name}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_together(folder: Path, content: Mapping[str, bytes]) -> None:
    """Write files that belong together: each appears whole or not at all, none before all are written, and the first last."""
    with ExitStack() as parts:  # files take their names in the reverse order
        for name, data in content.items():
            parts.enter_context(renamed(folder / name)).write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, as `renamed` does."""
    with renamed(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def whole_lines(path: Path) -> list[str]:
    """The lines of a file that grows line by line; one that a kill cut short is removed from it.  Empty where there is none."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_text(path, whole)
    return whole.splitlines()


def named(values: Iterable[object]) -> dict[str, Path]:
    """The files that texts among `values` name, by that text; what names none may be longer than any path."""
    paths = {value: os.path.expanduser(value.strip()) for value in values if isinstance(value, str)}
    return {value: Path(path) for value, path in paths.items() if os.path.isfile(path)}
