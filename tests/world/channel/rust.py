"""Rust from the toolchain of the machine that builds the channel, as rustup installed it.

Debian's packages will not do: evcxr asks for the standard library as a shared one, which they do not carry.
The machine has a toolchain, for envspec is compiled with it; which one that is, no pin says. There is no
compiler of C in the channel: rustc links with the machine's `cc`.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import elf, package, steps

TARGET = "x86_64-unknown-linux-gnu"
RUSTLIB = f"lib/rustlib/{TARGET}"

#: Without the sanitizers' libraries; `bin` of the target holds the linker that rustc has `cc` start.
FILES = (
    "bin/rustc",
    "bin/cargo",
    "lib/*.so*",
    f"{RUSTLIB}/bin",
    *(f"{RUSTLIB}/lib/*.{ending}" for ending in ("rlib", "rmeta", "so")),
)

#: What conda-forge's `rust` sets (rust-feedstock, recipe/install-rust.sh), where the value is the compiler of its
#: own compiler package. All else that cargo is told there is of another package, `rust_linux-64`.
ACTIVATE = "export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=cc\n"
DEACTIVATE = "unset CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER\n"


@dataclass(frozen=True)
class Toolchain:
    root: Path
    #: What `rustc -vV` says: version, commit and the like.
    described: str

    @property
    def version(self):
        return self.described.split()[1].split("-")[0]


def toolchain():
    """The machine's, or None if it has none that can be moved."""
    home = os.environ.get("CARGO_HOME") or Path.home() / ".cargo"
    rustc = shutil.which("rustc", path=f"{os.environ['PATH']}:{home}/bin")
    root = Path(_ask(rustc, "--print", "sysroot").strip()) if rustc else None
    if root is None or not any(root.glob(f"{RUSTLIB}/lib/libstd-*.so")) or not (root / "bin/cargo").exists():
        steps.warn("no rust and no evcxr: the machine has no toolchain of rustup's kind")
        return None
    return Toolchain(root, _ask(root / "bin/rustc", "-vV"))


def _ask(*command):
    return subprocess.run([*map(str, command)], check=True, capture_output=True, text=True).stdout


def build(out, found, known):
    """`rust`: compiler, cargo and the standard library for one target."""
    root = out.parent / "root"
    for pattern in FILES:
        for path in sorted(found.root.glob(pattern)):
            steps.copy(path, root / path.relative_to(found.root))
    steps.write(root / "etc/conda/activate.d/rust.sh", ACTIVATE)
    steps.write(root / "etc/conda/deactivate.d/rust.sh", DEACTIVATE)
    own = {path.name for path in root.rglob("*.so*")}
    described = package.Package("rust", found.version, f"h{steps.digest(found.described)[:7]}_0")
    described.depends = known.depends(elf.relocate(root), own)
    described.summary, described.license = "Rust as rustup installs it", "MIT OR Apache-2.0"
    package.write(described, root, out)
