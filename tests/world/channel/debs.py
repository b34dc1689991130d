"""Debian packages taken apart, and their shared libraries as conda packages.

Each library package of the distribution becomes one conda package, so that an environment leans on the
system for glibc alone. Debian's names carry the soname (`libicu72`), conda-forge's do not (`icu`).
"""

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import elf, package, steps

#: Debian's multiarch folder, where every library lives.
MULTIARCH = "usr/lib/x86_64-linux-gnu"

#: Debian keeps the alternatives BLAS and LAPACK in folders of their own and links to them at install.
LIBRARY_FOLDERS = (MULTIARCH, f"{MULTIARCH}/blas", f"{MULTIARCH}/lapack", "usr/lib")

#: The package of the C library, the one thing taken from the machine.
GLIBC = "libc6"

#: What remains of a library's name without its soname: libssl3t64 -> libssl, libbz2-1.0 -> libbz2.
SONAME = re.compile(r"-?[0-9][0-9.]*[a-z]?(t64)?$")

#: conda-forge's names where they differ from Debian's without the soname; the rest keep theirs.
CONDA_NAMES = {
    "libblas": "libblas",
    "libbz2": "bzip2",
    "libcairo": "cairo",
    "libdb": "libdb",
    "libfontconfig": "libfontconfig",
    "libfreetype": "libfreetype6",
    "libfribidi": "fribidi",
    "libgcc-s": "libgcc",
    "libgfortran": "libgfortran5",
    "libglib2.0": "libglib",
    "libgmp": "gmp",
    "libgomp": "libgomp",
    "libgraphite2": "graphite2",
    "libharfbuzz": "harfbuzz",
    "libhdf5-103-1": "hdf5",
    "libicu": "icu",
    "libjpeg62-turbo": "libjpeg-turbo",
    "libjpeg-turbo": "libjpeg-turbo",
    "libkeyutils": "keyutils",
    "libkrb5": "krb5",
    "liblz4": "lz4-c",
    "libncursesw": "ncurses",
    "libnettle": "nettle",
    "libpango-1.0": "pango",
    "libpcre": "pcre",
    "libpcre2-8": "pcre2",
    "libpixman-1": "pixman",
    "libpng16": "libpng",
    "libreadline": "readline",
    "libsnappy1v": "snappy",
    "libsodium": "libsodium",
    "libsqlite3": "libsqlite",
    "libssl": "openssl",
    "libstdc++": "libstdcxx",
    "libtcl": "tcl",
    "libtk": "tk",
    "libx11": "xorg-libx11",
    "libxau": "xorg-libxau",
    "libxdmcp": "xorg-libxdmcp",
    "libxext": "xorg-libxext",
    "libxml2": "libxml2",
    "libxrender": "xorg-libxrender",
    "libyaml-0": "yaml",
    "libzmq": "zeromq",
    "libzstd": "zstd",
    "zlib1g": "libzlib",
}


@dataclass(frozen=True)
class Deb:
    name: str
    #: Debian's version, with epoch and revision.
    full_version: str
    depends: tuple
    sha256: str
    #: Where its files are, with /bin, /lib and /sbin merged into /usr.
    tree: Path

    @property
    def version(self):
        """Upstream's version: no epoch, no revision, no repacking mark (1:1.2.13.dfsg-1 is 1.2.13)."""
        return re.split(r"[-+~]|\.?dfsg", self.full_version.split(":", 1)[-1])[0]

    @property
    def origin(self):
        return f"{self.name} {self.full_version}"


def unpack(archives, folder):
    """Unpacks each archive into `folder/<package>`; returns {package: Deb}."""
    with ThreadPoolExecutor() as pool:
        debs = list(pool.map(lambda archive: _unpack(archive, folder), sorted(archives)))
    return {deb.name: deb for deb in debs}


def _unpack(archive, folder):
    fields = "${Package}\\n${Version}\\n${Depends}"
    show = ["dpkg-deb", "--show", f"--showformat={fields}", str(archive)]
    name, version, depends = subprocess.run(show, check=True, capture_output=True, text=True).stdout.split(
        "\n", 2
    )
    tree = folder / name
    if not tree.exists():
        with steps.appearing(tree) as part:
            subprocess.run(["dpkg-deb", "--extract", str(archive), str(part)], check=True)
            for alias in ("bin", "lib", "lib64", "sbin"):
                if (part / alias).is_dir():
                    steps.copy(part / alias, part / "usr" / alias)
                    shutil.rmtree(part / alias)
    names = tuple(re.split(r"[ (:|]", entry.strip())[0] for entry in depends.split(",") if entry.strip())
    return Deb(name, version, names, steps.file_digest(archive), tree)


def sonames(deb):
    """{name of the file: path} of the public shared libraries of a package.

    Links count if they lead to one of them: libR.so leads into R's home, and is no library of the prefix.
    """
    found = {}
    for folder in LIBRARY_FOLDERS:
        for path in sorted((deb.tree / folder).glob("*.so*")):
            found.setdefault(path.name, path)
    return {
        name: path
        for name, path in found.items()
        if not path.is_symlink() or _leads_to(path) in found.keys() - {name}
    }


def _leads_to(link):
    return link.readlink().name


@dataclass(frozen=True)
class Libraries:
    """Which conda package holds which soname."""

    #: {soname: MatchSpec of the conda package}
    specs: dict
    #: What the distribution's own binaries ask of the system.
    glibc: str
    system: frozenset

    def depends(self, needed, own=()):
        """The dependencies of files that need these sonames and bring the `own` ones themselves."""
        missing = sorted(needed - self.specs.keys() - self.system - set(own))
        if missing:
            raise LookupError(f"no package holds {', '.join(missing)}")
        return [self.glibc, *sorted({self.specs[soname] for soname in needed - self.system - set(own)})]

    @property
    def key(self):
        return steps.digest(self.glibc, *sorted(self.specs.items()), *sorted(self.system))


def libraries(debs):
    """The plan: ({conda name: Deb} of the library packages, Libraries)."""
    packages, specs = {}, {}
    for deb in sorted(debs.values(), key=lambda deb: deb.name):
        own = sonames(deb)
        if deb.name == GLIBC or not own:
            continue
        name = conda_name(deb.name)
        if name in packages:
            raise ValueError(f"{deb.name} and {packages[name].name} would both be named {name}")
        packages[name] = deb
        for soname in own:
            specs.setdefault(soname, f"{name} >={deb.version}")
    glibc = debs[GLIBC]
    floor = ".".join(glibc.version.split(".")[:2])
    return packages, Libraries(specs, f"__glibc >={floor},<3.0.a0", frozenset(sonames(glibc)))


def conda_name(name):
    stem = SONAME.sub("", name)
    return CONDA_NAMES.get(name) or CONDA_NAMES.get(stem) or stem.replace("+", "x")


def build_library(out, name, deb, known):
    """One library package: its public sonames in `lib/`."""
    root = out.parent / "root"
    own = sonames(deb)
    for soname, path in own.items():
        target = root / "lib" / soname
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            target.symlink_to(_leads_to(path))
        else:
            shutil.copy2(path, target)
    depends = known.depends(elf.relocate(root), own)
    described = package.Package(
        name, deb.version, build_string(deb), depends, summary=f"Shared libraries of {deb.origin}"
    )
    package.write(described, root, out)


def take(deb, patterns, root):
    """Copies the files of a package that match, as they lie below /usr, into a prefix."""
    for path in matching(deb, patterns):
        steps.copy(path, root / path.relative_to(deb.tree / "usr"))


def matching(deb, patterns):
    """Files and folders; a pattern that nothing matches is a mistake, or another release's layout."""
    for pattern in patterns:
        found = sorted((deb.tree / "usr").glob(pattern))
        if not found:
            raise LookupError(f"{deb.origin} has no usr/{pattern}")
        yield from found


def build_string(*debs, prefix=""):
    """conda-forge's form, `h` and seven digits of a hash of what went in: revisions do not share a name."""
    return f"{prefix}h{steps.digest(*(deb.sha256 for deb in debs))[:7]}_0"
