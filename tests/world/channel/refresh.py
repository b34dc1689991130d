"""`channel.sh --refresh`: resolves the inputs anew and writes their pins.

Wheels are resolved by uv for each Python below, whichever one runs this; Debian's pins are written for
the release of the machine. Commit what changes after `channel.sh --check` has passed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from . import apt, debs, inputs, languages, steps

#: {minor version: the full one of the distribution that has it}. pip and solvers compare
#: Requires-Python with the full version. Debian 12 has 3.11, Ubuntu 24.04 has 3.12, Debian 13 has 3.13.
PYTHONS = {"3.11": "3.11.2", "3.12": "3.12.3", "3.13": "3.13.5"}

HEADER = "# Written by `channel.sh --refresh` from {source}; do not edit.\n"


def refresh():
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "uv"], check=True, stdout=sys.stderr)
    _tools()
    for python, full in PYTHONS.items():
        newest, older = inputs.wheel_pins(python)
        _write_wheels(newest, python, _resolve(inputs.PINS / "wheels.in", full), "wheels.in")
        _write_wheels(older, python, inputs.read_lines(inputs.PINS / "wheels-older.in"), "wheels-older.in")
    _distribution()


def _tools():
    """The tools' requirements keep the hashes of all their wheels: any Python of the machine may run them."""
    source, target = inputs.PINS / "tools.in", inputs.PINS / "tools.txt"
    pins = _uv(source, "--universal", "--generate-hashes", "--python-version", min(PYTHONS.values()))
    target.write_text(HEADER.format(source=source.name) + pins)
    steps.say(f"wrote {target.name}")


def _resolve(source, full):
    pins = _uv(source, "--python-version", full, "--python-platform", "x86_64-manylinux_2_28")
    return [line for line in pins.splitlines() if "==" in line]


def _uv(source, *arguments):
    """uv reads neither pip's configuration nor its variables: index and certificates are handed on."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--upgrade", "--only-binary", ":all:"]
    command += ["--no-header", "--no-annotate", *arguments, str(source)]
    environment = dict(os.environ)
    for variable, setting in (("UV_DEFAULT_INDEX", "index-url"), ("SSL_CERT_FILE", "cert")):
        value = os.environ.get("PIP_" + setting.upper().replace("-", "_")) or _pip_setting(setting)
        if value:
            environment.setdefault(variable, value)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def _pip_setting(name):
    command = [sys.executable, "-m", "pip", "config", "get", f"global.{name}"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def _write_wheels(target, python, requirements, source):
    """Downloads what was resolved and pins the one wheel of each that the channel uses."""
    with tempfile.TemporaryDirectory() as folder:
        inputs.download_wheels(python, folder, requirements)
        pins = []
        for wheel in sorted(Path(folder).glob("*.whl")):
            name, version = wheel.name.split("-")[:2]
            pins.append(
                f"{name.replace('_', '-').lower()}=={version} --hash=sha256:{steps.file_digest(wheel)}\n"
            )
    target.write_text(HEADER.format(source=source) + "".join(sorted(pins)))
    steps.say(f"wrote {target.name}: {len(pins)} wheels")


def _distribution():
    identity, version, codename = apt.release()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        private = apt.Apt(folder / "apt", apt.sources_of(codename), origin=identity.capitalize())
        private.update()
        private.download(inputs.DEB_ROOTS, folder / "archives")
        _write_debs(inputs.PINS / f"debs-{identity}-{version}.txt", folder / "archives")
        base = debs.unpack((folder / "archives").glob("*.deb"), folder / "trees")
        for group in languages.GROUPS:
            # A desktop's worth is downloaded to find out which packages are needed of it.
            part = folder / group.name
            languages.choose(group, private, part, base)
            _write_debs(group.pins, part / "archives")
            base |= debs.unpack((part / "archives").glob("*.deb"), folder / "trees")
            for name in group.sources:
                _write_source(private.original_source(name, part / "source"))
        source = private.original_source(inputs.python_source(private), folder / "source")
        _write_source(source)
        if identity == "debian":
            older = inputs.other_release(folder / "older", inputs.JULIA_RELEASE, "deb")
            older.download(inputs.JULIA_ROOTS, folder / "julia")
            _write_debs(inputs.PINS / f"debs-{inputs.JULIA_RELEASE}.txt", folder / "julia")
            newer = inputs.other_release(folder / "newer", inputs.NEWER_RELEASE, "deb-src")
            _write_source(newer.original_source(f"python{inputs.NEWER_PYTHON}", folder / "newer-source"))


def _write_debs(target, folder):
    rows = [
        f"{name} {version} {checksum}\n" for name, (version, checksum) in inputs.list_debs(folder).items()
    ]
    target.write_text(
        "# package version SHA-256; written by `channel.sh --refresh`.\n" + "".join(sorted(rows))
    )
    steps.say(f"wrote {target.name}: {len(rows)} packages")


def _write_source(path):
    """Adds or replaces one tarball; those of other releases stay."""
    target = inputs.SOURCES
    lines = (
        target.read_text().splitlines()
        if target.exists()
        else ["# SHA-256 and tarball; written by `channel.sh --refresh`."]
    )
    lines = [line for line in lines if not line.endswith(" " + path.name)]
    lines.append(f"{steps.file_digest(path)} {path.name}")
    target.write_text("".join(line + "\n" for line in lines))
    steps.say(f"wrote {target.name}: {path.name}")
