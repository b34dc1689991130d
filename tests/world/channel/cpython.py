"""CPython, compiled for the placeholder as conda-build compiles it.

The distribution's own binary will not do: `site` is frozen into it and looks for `dist-packages` only.
Compiled with `--prefix` = the placeholder, both kinds of it occur: in text (`_sysconfigdata`) and in the
binary (`getpath`).
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from . import elf, package, steps

#: Extension modules whose libraries the channel does not have.
DISABLED = "*disabled*\n_tkinter nis _gdbm _dbm\n"

CONFIGURE = (
    "--without-ensurepip",
    "--with-system-ffi",
    "--with-system-expat",
    "--enable-loadable-sqlite-extensions",
    "--disable-test-modules",
    f"--with-tzpath={package.PLACEHOLDER}/share/zoneinfo",
)

#: What else goes with a level of optimisation.
OPT = "-DNDEBUG -fwrapv -Wall"

#: Extension modules that a missing -dev package would silently leave out.
ESSENTIAL = "_bz2 _ctypes _curses _hashlib _lzma _sqlite3 _ssl _uuid pyexpat readline zlib".split()

#: Parts of the standard library that no test needs.
LEFT_OUT = ("ensurepip", "idlelib", "lib2to3/tests", "test", "tkinter", "turtledemo", "turtle.py")

#: What stands for the folder of the compilation in `_sysconfigdata` and the Makefile.
BUILD_FOLDER = "/build/cpython"


def compiled(source, optimisation, cache):
    """The installed tree, compiled once for a source; minutes, so it is cached apart from the package."""
    how = (package.PLACEHOLDER, optimisation, Path(__file__).read_bytes(), _compiler())
    key = steps.digest(source.sha256, *how)
    folder = cache / f"cpython-{key}"
    if not folder.exists():
        steps.say(f"compiling CPython from {source.path.name} (about two minutes)")
        with steps.appearing(folder) as part:
            _compile(source.path, optimisation, part)
        steps.say(f"compiled CPython {source.version}")
    steps.used(folder)
    return folder, key


def _compiler():
    return subprocess.run(["gcc", "--version"], check=True, capture_output=True, text=True).stdout


def _compile(tarball, optimisation, part):
    source = part / "source"
    source.mkdir()
    subprocess.run(["tar", "-xf", str(tarball), "-C", str(source), "--strip-components=1"], check=True)
    (source / "Modules/Setup.local").write_text(DISABLED)
    destination = part / "destination"
    environment = dict(os.environ, SOURCE_DATE_EPOCH=str(package.EPOCH), LC_ALL="C.UTF-8", PYTHONHASHSEED="0")
    for name in ("CFLAGS", "CPPFLAGS", "LDFLAGS", "PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(name, None)
    environment["CFLAGS"] = _prefix_map(source)
    for command in (
        ["./configure", f"--prefix={package.PLACEHOLDER}", *CONFIGURE, f"OPT={OPT} {optimisation}"],
        ["make", f"-j{os.cpu_count()}"],
        ["make", "install", f"DESTDIR={destination}"],
    ):
        done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[:2])} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    installed = part / "installed"
    shutil.move(str(destination) + package.PLACEHOLDER, installed)
    _slim(installed)
    _forget_build_folder(installed, source)
    _compile_library(installed)
    _check_modules(installed)
    for left in ("source", "destination"):
        shutil.rmtree(part / left)


def _library(installed):
    return next(path for path in (installed / "lib").glob("python3.*") if path.is_dir())


def _slim(installed):
    library = _library(installed)
    for name in LEFT_OUT:
        path = library / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in [*installed.rglob("*.a"), *installed.rglob("*.o"), *installed.glob("bin/idle*")]:
        path.unlink()
    for cache in sorted(installed.rglob("__pycache__")):
        shutil.rmtree(cache)
    (installed / "bin/python").symlink_to(library.name)
    for path in elf.below(installed):
        path.chmod(0o755)
        elf.strip(path)


def _prefix_map(source):
    """Keeps `__FILE__` from naming the folder of the compilation."""
    return f"-ffile-prefix-map={source}={BUILD_FOLDER}"


def _forget_build_folder(installed, source):
    """The compilation ran in a folder of the cache; the package must not depend on where that is."""
    flag, folder = _prefix_map(source).encode(), str(source).encode()
    for path in sorted(installed.rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if folder in data and not elf.is_elf(path):
                path.write_bytes(data.replace(flag, b"").replace(folder, BUILD_FOLDER.encode()))


def _compile_library(installed):
    """Ships bytecode of the standard library, as conda-forge does: no client compiles it at install.

    conda-forge's bytecode is checked by time; here it is hash-based and unchecked (PEP 552), for the
    bytes may not depend on times. It is therefore left out for files that the prefix is written into,
    whose bytecode would go stale unnoticed.
    """
    changed = "|".join(
        re.escape(path.name)
        for path in _library(installed).glob("*.py")
        if package.PLACEHOLDER in path.read_text()
    )
    command = [installed / "bin/python", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", installed, "-x", f"lib2to3/tests|bad_coding|/({changed})$", _library(installed)]
    environment = {"PATH": os.environ["PATH"], "PYTHONHOME": str(installed), "PYTHONHASHSEED": "0"}
    subprocess.run([*map(str, command)], check=True, env=environment)
    # The compiler writes the bytecode of what it imports itself, by time: only the hash-based ones stay.
    for path in installed.rglob("*.pyc"):
        if path.read_bytes()[4:8] != b"\x01\0\0\0":
            path.unlink()


def _check_modules(installed):
    found = {path.name.split(".")[0] for path in _library(installed).glob("lib-dynload/*.so")}
    missing = sorted(set(ESSENTIAL) - found)
    if missing:
        raise RuntimeError(f"CPython was compiled without {', '.join(missing)}: a -dev package is missing")
