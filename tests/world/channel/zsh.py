"""zsh, compiled for the placeholder: its modules and functions lie below the prefix.

Debian's binary has the folders of its modules built in and takes no other from the environment.
"""

import os
import shutil
import subprocess
from pathlib import Path

from . import compiling, elf, package, steps

CONFIGURE = (
    "--enable-etcdir=" + package.PLACEHOLDER + "/etc",
    "--disable-gdbm",
    "--disable-pcre",
    "--disable-cap",
    "--with-term-lib=tinfow tinfo ncursesw",
    "--with-tcsetpgrp",
)


def compiled(source, cache):
    """The installed tree, compiled once for a source: (folder, key)."""
    key = steps.digest(source.sha256, package.PLACEHOLDER, Path(__file__).read_bytes(), compiling.compiler())
    folder = cache / f"zsh-{key}"
    if not folder.exists():
        steps.say(f"compiling zsh from {source.path.name} (less than a minute)")
        with steps.appearing(folder) as part:
            _compile(source.path, part)
    steps.used(folder)
    return folder, key


def _compile(tarball, part):
    source, destination = part / "source", part / "destination"
    source.mkdir()
    subprocess.run(["tar", "-xf", str(tarball), "-C", str(source), "--strip-components=1"], check=True)
    variables = compiling.environment(CFLAGS=f"-O1 -ffile-prefix-map={source}=/build/zsh")
    for command in (
        ["./configure", f"--prefix={package.PLACEHOLDER}", *CONFIGURE],
        ["make", f"-j{os.cpu_count()}"],
        ["make", "install.bin", "install.modules", "install.fns", f"DESTDIR={destination}"],
    ):
        compiling.run(command, source, variables)
    installed = part / "installed"
    shutil.move(str(destination) + package.PLACEHOLDER, installed)
    for left in (source, destination):
        shutil.rmtree(left)
    for path in elf.below(installed):
        path.chmod(0o755)
        elf.strip(path)


def build(out, folder, version, key, known):
    root = out.parent / "root"
    steps.copy(folder / "installed", root)
    described = package.Package("zsh", version, f"h{key[:7]}_0", known.depends(elf.relocate(root)))
    described.summary, described.license = "zsh, compiled from upstream's source", "MIT-Modern-Variant"
    package.write(described, root, out)
