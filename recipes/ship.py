"""Put a trained run into the package as a shipped model: 16-bit weights, and its card.

python recipes/ship.py runs/spectral-tiny spectral-tiny
python recipes/ship.py runs/jasco-tiny jasco-tiny --codec spectral-tiny
"""

import argparse
from pathlib import Path

from counterpoint.hub import checkpoint

SHIPPED = Path(__file__).parent.parent / "src" / "counterpoint" / "shipped"


def main() -> None:
    """Read the command line, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder that training wrote")
    parser.add_argument("name", help="the name that it ships under")
    parser.add_argument("--codec", help="the shipped codec that a system belongs to")
    options = parser.parse_args()
    manifest = checkpoint.read_manifest(options.run)
    if options.codec is None:
        module = checkpoint.load_codec(options.run)
    else:
        module = checkpoint.load(options.run).system
        manifest = manifest.model_copy(update={"codec": options.codec})
    checkpoint.save(SHIPPED / options.name, module, manifest, half=True)


if __name__ == "__main__":
    main()
