"""Put a trained run into the package as a shipped model: 16-bit weights, and its settings.

python recipes/ship.py runs/spectral-tiny spectral-tiny
python recipes/ship.py runs/jasco-tiny jasco-tiny --codec spectral-tiny
"""

import argparse
from pathlib import Path

from counterpoint.encoding import digest
from counterpoint.hub import checkpoint

SHIPPED = Path(__file__).parent.parent / "src" / "counterpoint" / "shipped"


def main() -> None:
    """Read the command line, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder that training wrote")
    parser.add_argument("name", help="the name that it ships under")
    parser.add_argument("--codec", help="the shipped codec that a system belongs to")
    options = parser.parse_args()
    try:
        ship(options.run, SHIPPED / options.name, options.codec)
    except ValueError as error:
        parser.exit(2, f"{error}\n")


def ship(run: Path, target: Path, codec: str | None) -> None:
    """Write the codec, or the system and the name of its codec, of `run` into `target`; raises ValueError."""
    manifest = checkpoint.read_manifest(run)
    if manifest.kind in checkpoint.CODECS:
        if codec is not None:
            raise ValueError(f"{run} is a codec itself; leave out --codec.")
        checkpoint.save(target, checkpoint.load_codec(run), manifest, half=True)
        return
    if codec not in checkpoint.shipped():
        raise ValueError(
            f"{run} is a system; name its codec, one of those that ship: --codec {' or '.join(checkpoint.shipped())}."
        )
    loaded = checkpoint.load(run)
    if digest(loaded.codec.frame_state()) != digest(checkpoint.load_codec(codec).frame_state()):
        raise ValueError(
            f"{run} was trained on frames of another encoder than {codec}'s; encode with {codec} and train on those."
        )
    checkpoint.save(target, loaded.system, manifest.model_copy(update={"codec": codec}), half=True)


if __name__ == "__main__":
    main()
