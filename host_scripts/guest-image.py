"""Takes the agent's code out of its image, which is never run. In the guest, as root, by the system's own Python (-I).

choose MANIFEST DIGEST ARCHITECTURE   print the digest of this architecture's own manifest, or the bytes of its layers
unpack LAYOUT SCRATCH TREE FINAL      lay out the code in TREE as it is to be at FINAL; SCRATCH holds the rest
close SCRATCH TREE FINAL              give every program in TREE the image's libraries, whatever the system has
"""

from __future__ import annotations

import os
import sys
import tarfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # the bundle's folder, root's alone

from image_code import unpack
from image_layers import Refused, choose
from image_libraries import close


def main(words: list[str]) -> None:
    os.umask(0o022)
    match words:
        case ["choose", manifest, digest, architecture]:
            print(choose(Path(manifest), digest, architecture))
        case ["unpack", layout, scratch, path, final]:
            unpack(Path(layout), Path(scratch), Path(path), Path(final))
        case ["close", scratch, path, final]:
            close(Path(scratch), Path(path), Path(final))
        case _:
            raise Refused("usage: choose, unpack or close")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Refused, OSError, ValueError, KeyError, TypeError, tarfile.TarError, EOFError) as error:
        print(str(error) or type(error).__name__, file=sys.stderr)
        sys.exit(1)
