"""What the compilations of small programs share. CPython's has its own, and with it a key of its own."""

import os
import subprocess

from . import package

#: Flags of the developer's shell that would change the bytes.
FORGOTTEN = ("CFLAGS", "CPPFLAGS", "LDFLAGS", "RUSTFLAGS", "PYTHONHOME", "PYTHONPATH")


def compiler():
    return subprocess.run(["gcc", "--version"], check=True, capture_output=True, text=True).stdout


def environment(**variables):
    """The shell's own, with nothing in it that changes what comes out."""
    kept = {name: value for name, value in os.environ.items() if name not in FORGOTTEN}
    return kept | {"SOURCE_DATE_EPOCH": str(package.EPOCH), "LC_ALL": "C.UTF-8"} | variables


def run(command, folder, variables):
    command = [str(part) for part in command]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
