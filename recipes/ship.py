"""Put a trained run into the package as a shipped model: its weights in 16 or 8 bits (`hub/storage.py`), and its settings.

python recipes/ship.py runs/spectral-tiny spectral-tiny
python recipes/ship.py runs/jasco-tiny jasco-tiny --codec spectral-tiny --bits 8
python recipes/ship.py runs/ear-tiny ear-tiny --bits 8

What ships already is a checkpoint, too, and is packed anew in the same way (its card stays); what 8 bits have lost is lost:

python recipes/ship.py src/counterpoint/shipped/jasco-tiny jasco-tiny --codec spectral-tiny --bits 8
"""

import argparse
from pathlib import Path

from counterpoint.encoding import digest
from counterpoint.hub import checkpoint
from counterpoint.hub.storage import Bits

SHIPPED = Path(__file__).parent.parent / "src" / "counterpoint" / "shipped"


def main() -> None:
    """Read the command line, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder that training wrote")
    parser.add_argument("name", help="the name that it ships under")
    parser.add_argument("--codec", help="the shipped codec that a system belongs to")
    parser.add_argument("--bits", type=int, choices=(8, 16), default=16, help="of a weight on disk; 8 are those of matrices")
    options = parser.parse_args()
    try:
        ship(options.run, SHIPPED / options.name, options.codec, options.bits)
    except ValueError as error:
        parser.exit(2, f"{error}\n")


def ship(run: Path, target: Path, codec: str | None, bits: Bits = 16) -> None:
    """Write the codec, the ear, or the system and the name of its codec, of `run` into `target`; raises ValueError."""
    manifest = checkpoint.read_manifest(run)
    if manifest.kind in checkpoint.EARS:
        if codec is not None:
            raise ValueError(f"{run} is an ear, which has no codec; leave out --codec.")
        checkpoint.save(target, checkpoint.load_ear(run)[0], manifest, bits=bits)
        return
    if manifest.kind in checkpoint.CODECS:
        if codec is not None:
            raise ValueError(f"{run} is a codec itself; leave out --codec.")
        if bits == 8:
            raise ValueError(f"{run} is a codec, and 8 bits have been measured on systems alone; ship it with --bits 16.")
        checkpoint.save(target, checkpoint.load_codec(run), manifest, bits=bits)
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
    checkpoint.save(target, loaded.system, manifest.model_copy(update={"codec": codec}), bits=bits)


if __name__ == "__main__":
    main()
