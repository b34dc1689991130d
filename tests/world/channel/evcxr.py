"""evcxr, the kernel for Rust, compiled from its crate with the Rust that the channel has.

It remembers where rustc lay when it was compiled, and takes that one if none is on PATH and the path is below
the user's home; before both it asks `rustup`. A test of the environment's own rustc has another HOME and PATH.
"""

import os
import shutil
from pathlib import Path

from . import compiling, elf, inputs, package, steps

VERSION = "0.22.0"

#: Quick to compile, not to run: most of it is rust-analyzer, which completes names and nothing else.
PROFILE = {
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
    "CARGO_PROFILE_RELEASE_DEBUG": "0",
    "CARGO_PROFILE_RELEASE_STRIP": "symbols",
    "CARGO_PROFILE_RELEASE_LTO": "off",
}

#: conda-forge's package ships no kernelspec: this script writes it when the package is linked, for a client
#: that runs such scripts. It has no first line and no mode to be executed, there as here.
POST_LINK = f"""\
export JUPYTER_PATH={package.PLACEHOLDER}/share/jupyter/
{package.PLACEHOLDER}/bin/evcxr_jupyter --install
"""
PRE_UNLINK = POST_LINK.replace("--install", "--uninstall")


def compiled(toolchain, cache):
    """evcxr_jupyter, compiled once for a toolchain: (folder, key)."""
    key = steps.digest(VERSION, Path(__file__).read_bytes(), toolchain.described, compiling.compiler())
    folder = cache / f"evcxr-{key}"
    if not folder.exists():
        steps.say(f"compiling evcxr_jupyter {VERSION} (some minutes)")
        with steps.appearing(folder) as part:
            _compile(toolchain, part)
        steps.say("compiled evcxr_jupyter")
    steps.used(folder)
    return folder, key


def _compile(toolchain, part):
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    maps = {home: "/cargo", part: "/build"}
    variables = compiling.environment(
        **PROFILE,
        CARGO_TARGET_DIR=str(part / "target"),
        RUSTC=str(toolchain.root / "bin/rustc"),
        RUSTFLAGS=" ".join(f"--remap-path-prefix={old}={new}" for old, new in maps.items()),
        CFLAGS=" ".join(f"-ffile-prefix-map={old}={new}" for old, new in maps.items()),
    )
    cargo, options = toolchain.root / "bin/cargo", ("--locked", "--no-track", "--root", part / "installed")
    compiling.run([cargo, "install", f"evcxr_jupyter@={VERSION}", *options], part, variables)
    # The crate's Cargo.lock holds the checksums of all others.
    crate = f"evcxr_jupyter-{VERSION}.crate"
    inputs.check_source(next(home.glob(f"registry/cache/*/{crate}")), inputs.CRATES)
    shutil.rmtree(part / "target")


def build(out, folder, key, known):
    root = out.parent / "root"
    steps.copy(folder / "installed/bin/evcxr_jupyter", root / "bin/evcxr_jupyter")
    steps.write(root / "bin/.evcxr-post-link.sh", POST_LINK)
    steps.write(root / "bin/.evcxr-pre-unlink.sh", PRE_UNLINK)
    described = package.Package("evcxr", VERSION, f"h{key[:7]}_0", known.depends(elf.relocate(root)) + ["rust"])
    described.summary, described.license = "A Jupyter kernel for Rust", "MIT OR Apache-2.0"
    package.write(described, root, out)
