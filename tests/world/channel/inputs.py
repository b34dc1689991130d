"""The inputs: downloads that are pinned and checked by hash.

Wheels come through pip and Debian packages through apt, each configured as the machine has it, so no
address of a registry is written anywhere. A pin is a name, a version and a SHA-256 in `../inputs`.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import apt, debs, steps

PINS = Path(__file__).parent.parent / "inputs"

#: The pins of tarballs, and of Rust's.
SOURCES, CRATES = PINS / "sources.txt", PINS / "crates.txt"

#: What the channel holds of the distribution: `python3` tells its CPython and brings the libraries
#: that CPython links, the others become packages themselves. Their closure is what is downloaded.
DEB_ROOTS = ("python3", "r-base-core", "r-cran-irkernel", "bash", "tzdata", "fonts-dejavu-core")

#: The last Debian release that had Julia.
JULIA_RELEASE = "bullseye"
JULIA_ROOTS = ("julia",)

#: The Debian release of the second CPython, and which one it is.
NEWER_RELEASE, NEWER_PYTHON = "trixie", "3.13"

#: Wheels may ask for at most this glibc; old enough for any machine that builds the channel.
PLATFORMS = tuple(f"manylinux_2_{minor}_x86_64" for minor in range(34, 16, -1)) + (
    "manylinux2014_x86_64",
    "linux_x86_64",
)


QUIET_PIP = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1")


class InputError(Exception):
    pass


@dataclass(frozen=True)
class Source:
    """A tarball of upstream as the distribution carries it."""

    path: Path
    sha256: str

    @property
    def version(self):
        return self.path.name.split("_")[1].split(".orig")[0]


@dataclass(frozen=True)
class Distribution:
    debs: dict
    #: Minor version of its Python, such as 3.11: wheels are chosen for it.
    python: str
    source: Source


def distribution(cache):
    """The closure of `DEB_ROOTS` and CPython's source, for the release that this machine runs."""
    identity, version, codename = apt.release()
    pins = PINS / f"debs-{identity}-{version}.txt"
    key = steps.digest(identity, version, text(pins), text(SOURCES), *DEB_ROOTS)
    folder = cache / f"debs-{key}"
    if not folder.exists():
        steps.say(f"Debian packages: the closure of {', '.join(DEB_ROOTS)} on {identity} {version}")
        with steps.appearing(folder) as part:
            private = apt.Apt(part / "apt", apt.sources_of(codename), origin=identity.capitalize())
            private.update()
            private.download(DEB_ROOTS, part / "archives")
            check_debs(part / "archives", pins)
            check_source(private.original_source(python_source(private), part / "source"))
            steps.discard(part / "apt")
    steps.used(folder)
    unpacked = debs.unpack((folder / "archives").glob("*.deb"), folder / "trees")
    tarball = source(next((folder / "source").iterdir()))
    return Distribution(unpacked, tarball.path.name.split("_")[0].removeprefix("python"), tarball)


def source(path):
    return Source(path, steps.file_digest(path))


def python_source(private):
    """`python3` depends on the package of its minor version, named like its source: python3.11."""
    return next(name for name in private.depends("python3") if name.startswith("python3."))


def other_release(home, release, *kinds):
    """A private apt for another Debian release, from the mirrors of the machine's own."""
    archive, security = apt.mirrors(apt.release()[2])
    suites = [(archive, release)] + ([(security, f"{release}-security")] if security else [])
    sources = [f"{kind} {uri} {suite} main" for kind in kinds for uri, suite in suites]
    private = apt.Apt(home, sources, origin="Debian")
    private.update()
    return private


def julia(cache):
    """Julia's closure from an older Debian release, or None where the mirror has it no longer."""
    identity, _, _ = apt.release()
    pins = PINS / f"debs-{JULIA_RELEASE}.txt"
    folder = cache / f"julia-{steps.digest(text(pins), *JULIA_ROOTS)}"
    if not folder.exists():
        if identity != "debian":
            steps.warn(
                f"no julia: it comes from Debian {JULIA_RELEASE}, and this machine's mirrors are of {identity}"
            )
            return None
        steps.say(f"Debian packages: the closure of julia in {JULIA_RELEASE}")
        try:
            with steps.appearing(folder) as part:
                private = other_release(part / "apt", JULIA_RELEASE, "deb")
                private.download(JULIA_ROOTS, part / "archives")
                check_debs(part / "archives", pins)
                steps.discard(part / "apt")
        except apt.AptError as error:
            steps.warn(f"no julia: {JULIA_RELEASE} cannot be had from this machine's mirror\n{error}")
            return None
    steps.used(folder)
    return debs.unpack((folder / "archives").glob("*.deb"), folder / "trees")


def newer_python(cache, own):
    """The source of the second CPython, or None where it cannot be had; `own` is the release's own version."""
    identity, _, _ = apt.release()
    folder = cache / f"python{NEWER_PYTHON}-{steps.digest(NEWER_RELEASE, text(SOURCES))}"
    if own == NEWER_PYTHON:
        steps.warn(f"no second CPython: that of this release is {own} itself")
        return None
    if not folder.exists():
        if identity != "debian":
            steps.warn(f"no second CPython: Debian {NEWER_RELEASE} has it, and these mirrors are of {identity}")
            return None
        steps.say(f"source: python{NEWER_PYTHON} in {NEWER_RELEASE}")
        try:
            with steps.appearing(folder) as part:
                private = other_release(part / "apt", NEWER_RELEASE, "deb-src")
                check_source(private.original_source(f"python{NEWER_PYTHON}", part / "source"))
                steps.discard(part / "apt")
        except apt.AptError as error:
            steps.warn(f"no second CPython: {NEWER_RELEASE} cannot be had from this machine's mirror\n{error}")
            return None
    steps.used(folder)
    return source(next((folder / "source").iterdir()))


def check_debs(folder, pins):
    """Compares what the archive gave with the pins; a newer version passes with a warning."""
    if not pins.exists():
        steps.warn(f"no pins for this release ({pins.name}): taking what the archive's signature vouches for")
        return
    pinned = read_deb_pins(pins)
    for name, (version, checksum) in sorted(list_debs(folder).items()):
        if name not in pinned:
            steps.warn(f"{name} {version} is not pinned in {pins.name}; taken as the archive signs it")
        elif pinned[name][0] != version:
            steps.warn(
                f"{name}: pinned {pinned[name][0]}, the archive has {version}; taken as the archive signs it"
            )
        elif pinned[name][1] != checksum:
            raise InputError(f"{name} {version}: SHA-256 {checksum}, but {pins.name} pins {pinned[name][1]}")


def list_debs(folder):
    """{package: (version, SHA-256)} of a folder of archives."""
    found = {}
    for archive in sorted(folder.glob("*.deb")):
        show = ["dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(archive)]
        name, version = subprocess.run(show, check=True, capture_output=True, text=True).stdout.split()
        found[name] = (version, steps.file_digest(archive))
    return found


def read_deb_pins(path):
    rows = (line.split() for line in read_lines(path))
    return {name: (version, checksum) for name, version, checksum in rows}


def check_source(path, pins=SOURCES):
    pinned = dict(reversed(line.split()) for line in read_lines(pins))
    actual = steps.file_digest(path)
    if path.name not in pinned:
        steps.warn(f"{path.name} is not pinned in {pins.name}; taken as the archive signs it")
    elif pinned[path.name] != actual:
        raise InputError(f"{path.name}: SHA-256 {actual}, but {pins.name} pins {pinned[path.name]}")


def wheel_pins(python):
    """The two requirement files for a Python: the set that fits together, and older versions of some."""
    return PINS / f"wheels-{python}.txt", PINS / f"wheels-{python}-older.txt"


def wheels(cache, python):
    """(newest wheels, older wheels), as sorted paths."""
    return tuple(_pinned_wheels(cache, python, pins) for pins in wheel_pins(python))


def some_wheels(cache, python, projects):
    """Those of the newest wheels that are of these projects."""
    return _pinned_wheels(cache, python, wheel_pins(python)[0], projects)


def _pinned_wheels(cache, python, pins, projects=None):
    if not pins.exists():
        known = ", ".join(
            sorted(path.stem.removeprefix("wheels-") for path in PINS.glob("wheels-*[0-9].txt"))
        )
        raise InputError(
            f"no pinned wheels for Python {python} (there are pins for {known}): run `channel.sh --refresh`"
        )
    lines = read_lines(pins)
    if projects is None:
        folder = cache / f"{pins.stem}-{steps.digest(text(pins))}"
    else:
        lines = [line for line in lines if line.split("==")[0] in projects]
        folder = cache / f"{pins.stem}-some-{steps.digest(*lines)}"
    if not folder.exists():
        steps.say(f"wheels: {pins.name}")
        with steps.appearing(folder) as part:
            download_wheels(python, part, lines, "--require-hashes")
    steps.used(folder)
    return sorted(folder.glob("*.whl"))


def download_wheels(python, folder, requirements, *options):
    """`pip download` for the channel's Python, whichever one runs this."""
    platforms = [option for platform in PLATFORMS for option in ("--platform", platform)]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        *options,
    ]
    command += ["--implementation", "cp", "--python-version", python, *platforms, "--dest", str(folder)]
    for once in _one_version_each(requirements):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("\n".join(once) + "\n")
            file.flush()
            done = subprocess.run([*command, "-r", file.name], stdout=sys.stderr, env=QUIET_PIP)
        if done.returncode:
            raise InputError("pip could not download the pinned wheels (see above)")


def _one_version_each(requirements):
    """pip takes one version of a project at a time: splits the lines into as many requests as that needs."""
    rounds = []
    for line in requirements:
        project = line.split("==")[0]
        free = next((lines for lines in rounds if project not in lines), None)
        if free is None:
            rounds.append(free := {})
        free[project] = line
    return [list(lines.values()) for lines in rounds]


def read_lines(path):
    """The lines of a file of pins, without comments."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def text(path):
    return path.read_text() if path.exists() else ""
