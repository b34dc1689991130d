"""The channel `tiny`: a few bytes a package, each there for one behaviour of conda.

`TABLE` is the whole of it. A test names a package and reads here what the package does.
"""

import hashlib
import os
from dataclasses import dataclass, field

from . import package

P = package.PLACEHOLDER


@dataclass(frozen=True)
class Text:
    content: str
    executable: bool = False


@dataclass(frozen=True)
class Bytes:
    content: bytes


@dataclass(frozen=True)
class Link:
    target: str


@dataclass(frozen=True)
class EmptyFolder:
    pass


@dataclass(frozen=True)
class Noise:
    """Bytes that no compression shortens, the same in every build."""

    megabytes: int


@dataclass(frozen=True)
class Tiny:
    """One name in one or more versions; `{version}` in a text or a dependency is the version."""

    name: str
    versions: tuple = ("1.0",)
    files: dict = field(default_factory=dict)
    depends: tuple = ()
    noarch: str | None = "generic"
    entry_points: tuple = ()
    summary: str = ""


OLD_FORMAT = ("old-format", "shared-lib")

#: Values that a shell must quote: a space, both quotes, a dollar, a backslash and a newline.
ACTIVATE = r"""
export ACTIVATION_VAR="value of activation-vars"
export ACTIVATION_SPACE='two  spaces'
export ACTIVATION_QUOTE="it's a \"quote\""
export ACTIVATION_DOLLAR='$HOME and `date` stay as they are'
export ACTIVATION_BACKSLASH='C:\new'
export ACTIVATION_NEWLINE='first line
second line'
export ACTIVATION_PREFIX="$CONDA_PREFIX/share/activation-vars"
export ACTIVATION_SCRATCH="/scratch/$USER/work"
export ACTIVATION_FLAGS="-I$HOME/include -L$HOME"
export PATH="$CONDA_PREFIX/share/activation-vars/bin:$PATH"
""".lstrip()

DEACTIVATE = "".join(
    f"unset ACTIVATION_{name}\n" for name in "VAR SPACE QUOTE DOLLAR BACKSLASH NEWLINE PREFIX SCRATCH FLAGS".split()
)

ENV_VARS = '{"ENV_VARS_D_PLAIN": "from env_vars.d", "ENV_VARS_D_DOLLAR": "not $EXPANDED"}\n'

POST_LINK = """\
#!/bin/sh
echo "$PKG_NAME $PKG_VERSION linked" > "$PREFIX/share/post-link.txt"
echo "post-link ran" >> "$PREFIX/.messages.txt"
"""

PRE_UNLINK = """\
#!/bin/sh
rm -f "$PREFIX/share/post-link.txt"
"""

ENTRY_MODULE = """\
import sys


def main():
    print("noarch-entry {version}", sys.prefix)


def gui():
    main()
"""

TABLE = (
    Tiny(
        "shared-lib",
        ("1.0", "1.1", "2.0"),
        {"share/shared-lib.txt": Text("shared-lib {version}\n")},
        summary="What two packages disagree about",
    ),
    Tiny("conflict-a", depends=("shared-lib 1.*",), summary="Cannot be with conflict-b"),
    Tiny("conflict-b", depends=("shared-lib 2.*",), summary="Cannot be with conflict-a"),
    Tiny(
        "clobber-one",
        files={"share/clobber.txt": Text("one\n")},
        summary="Same path as clobber-two, other content",
    ),
    Tiny(
        "clobber-two",
        files={"share/clobber.txt": Text("two\n")},
        summary="Same path as clobber-one, other content",
    ),
    Tiny(
        "activation-vars",
        files={
            "etc/conda/activate.d/activation-vars.sh": Text(ACTIVATE),
            "etc/conda/deactivate.d/activation-vars.sh": Text(DEACTIVATE),
            "etc/conda/env_vars.d/activation-vars.json": Text(ENV_VARS),
            "share/activation-vars/bin/activation-program": Text("#!/bin/sh\n", executable=True),
        },
        summary="Sets variables that a shell must quote, in both ways that conda knows, and extends PATH",
    ),
    Tiny(
        "post-link",
        files={
            "bin/.post-link-post-link.sh": Text(POST_LINK, executable=True),
            "bin/.post-link-pre-unlink.sh": Text(PRE_UNLINK, executable=True),
        },
        noarch=None,
        summary="Writes share/post-link.txt when linked, if link scripts are allowed to run",
    ),
    Tiny(
        "noarch-entry",
        ("1.0", "1.1"),
        {"site-packages/noarch_entry.py": Text(ENTRY_MODULE)},
        depends=("python",),
        noarch="python",
        entry_points=("noarch-entry = noarch_entry:main", "noarch-entry-gui = noarch_entry:gui"),
        summary="Entry points that the client must write",
    ),
    Tiny(
        "long-prefix",
        files={
            "bin/long-prefix": Text(f"#!{P}/bin/python\nprint('long-prefix')\n", executable=True),
            "share/long-prefix/text.conf": Text(f"prefix = {P}\ndata = {P}/share/long-prefix\n"),
            "share/long-prefix/binary.dat": Bytes(
                b"BIN\0" + f"{P}/share/one\0{P}:{P}/two\0".encode() + b"END\0"
            ),
        },
        noarch=None,
        summary="Placeholders in a shebang, a text and a binary, once and twice in one string",
    ),
    Tiny("needs-cuda", depends=("__cuda >=12",), summary="Solvable where there is a GPU"),
    Tiny("needs-new-glibc", depends=("__glibc >=2.99",), noarch=None, summary="Solvable nowhere"),
    Tiny("needs-missing", depends=("no-such-package >=1",), summary="Depends on a name that no channel has"),
    Tiny(
        "big-file",
        files={"share/big-file.bin": Noise(20)},
        summary="Long enough to be cut off, or to fill a disk",
    ),
    Tiny(
        "symlink",
        files={"share/symlink/target.txt": Text("target\n"), "share/symlink/link.txt": Link("target.txt")},
        noarch=None,
        summary="A symlink to a file of its own",
    ),
    Tiny(
        "dangling-symlink",
        files={"share/dangling/link.txt": Link("absent.txt")},
        noarch=None,
        summary="A symlink to nothing",
    ),
    Tiny(
        "executable",
        files={"bin/executable": Text("#!/bin/sh\necho executable {version}\n", executable=True)},
        noarch=None,
        summary="A script with the executable bit",
    ),
    Tiny("empty-file", files={"share/empty-file": Text("")}, summary="A file of no bytes"),
    Tiny(
        "empty-folder",
        files={"share/empty-folder": EmptyFolder()},
        summary="A folder in paths.json; rattler 0.55 cannot link it",
    ),
    Tiny(
        "unicode-name",
        files={"share/unicode/größe–数据.txt": Text("ü\n")},
        summary="A file name beyond ASCII",
    ),
    Tiny(
        "odd-versions",
        ("1.0rc1", "1.0", "1!2.0", "1.0.post1", "2024a"),
        {"share/odd-versions.txt": Text("{version}\n")},
        summary="Newest is 1!2.0: an epoch beats all",
    ),
    Tiny(
        "many-versions",
        tuple(f"{major}.{minor}" for major in (1, 2) for minor in range(5)),
        {"share/many-versions.txt": Text("{version}\n")},
        summary="Ten versions, a day apart",
    ),
    Tiny("old-format", files={"share/old-format.txt": Text("old\n")}, summary="A .tar.bz2"),
)


def build(out):
    for row in TABLE:
        for age, version in enumerate(row.versions):
            root = out.parent / f"root-{row.name}-{age}"
            root.mkdir()
            for path, content in row.files.items():
                _place(root / path, content, version)
            package.write(_describe(row, version, age), root, out)


def _describe(row, version, age):
    return package.Package(
        name=row.name,
        version=version,
        build="py_0" if row.noarch == "python" else "0",
        depends=list(row.depends),
        noarch=row.noarch,
        entry_points=list(row.entry_points),
        summary=row.summary,
        timestamp=package.EPOCH + age * 24 * 3600,
        old_format=row.name in OLD_FORMAT,
        empty_folders=True,
    )


def _place(path, content, version):
    (path if isinstance(content, EmptyFolder) else path.parent).mkdir(parents=True, exist_ok=True)
    if isinstance(content, Text):
        path.write_text(content.content.replace("{version}", version))
        path.chmod(0o755 if content.executable else 0o644)
    elif isinstance(content, Bytes):
        path.write_bytes(content.content)
    elif isinstance(content, Link):
        os.symlink(content.target, path)
    elif isinstance(content, Noise):
        path.write_bytes(hashlib.shake_128(path.name.encode()).digest(content.megabytes << 20))
