"""What may be done with weights, as their cards say, told once where money may not be made with them."""

import logging
from functools import cache
from pathlib import Path

import yaml

from counterpoint.hub.location import CARD

UNSAID = "that of its own card"

NON_COMMERCIAL = ("nc", "noncommercial", "research")
"""Parts of a licence's short name that keep it from commercial use."""

PUBLISHED = {
    "facebook/musicgen": "cc-by-nc-4.0",
    "facebook/jasco": "cc-by-nc-4.0",
    "facebook/magnet": "cc-by-nc-4.0",
    "facebook/audiogen": "cc-by-nc-4.0",
    "facebook/encodec_32khz": "cc-by-nc-4.0",
}
"""Beginnings of Hub ids and the licence of their weights, for folders without a card (audiocraft's README and model cards)."""


def of(source: str | Path, folder: Path) -> str:
    """The short name of the licence of what another library has written: its card's, or as published, or UNSAID."""
    said = _front_matter(folder / CARD).get("license")
    if isinstance(said, str) and said:
        return said
    return next((licence for start, licence in PUBLISHED.items() if str(source).startswith(start)), UNSAID)


def _front_matter(card: Path) -> dict[str, object]:
    """The YAML between the first two lines of dashes of a card, where there is some."""
    try:
        _, head, _ = card.read_text(encoding="utf-8").split("---\n", 2)
        content = yaml.safe_load(head)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


@cache
def tell(source: str, licence: str) -> None:
    """Say once in a process that a model's weights are for non-commercial use, where they are."""
    if set(licence.lower().replace("_", "-").split("-")) & set(NON_COMMERCIAL):
        logging.getLogger(__name__).warning(
            "The weights of %s are licensed %s: not for commercial use; their card says what is allowed.", source, licence
        )
