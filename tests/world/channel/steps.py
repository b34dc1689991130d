"""What every step shares: telling, hashing, and folders that appear whole or not at all."""

import contextlib
import hashlib
import os
import shutil
import sys
import time
from pathlib import Path

_START = time.monotonic()


def say(text):
    """Progress goes to stderr: stdout holds the result alone."""
    print(f"[{time.monotonic() - _START:6.1f} s] {text}", file=sys.stderr, flush=True)


def warn(text):
    print(f"[{time.monotonic() - _START:6.1f} s] WARNING: {text}", file=sys.stderr, flush=True)


def file_digest(path):
    state = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def digest(*values):
    """A key for a cache: changes when any of the values does."""
    state = hashlib.sha256()
    for value in values:
        data = value if isinstance(value, bytes) else str(value).encode()
        state.update(len(data).to_bytes(8, "big") + data)
    return state.hexdigest()[:16]


@contextlib.contextmanager
def appearing(final):
    """An empty folder beside `final` that takes its name only if the block ends well."""
    final = Path(final)
    part = final.with_name(f".part-{final.name}-{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        discard(final)
        part.rename(final)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def discard(path):
    """Removes a folder: renamed first, so that no one can meet it half empty."""
    path = Path(path)
    if path.exists():
        doomed = path.with_name(f".part-old-{path.name}-{os.getpid()}")
        path.rename(doomed)
        shutil.rmtree(doomed)


def sweep(folder):
    """Removes what interrupted runs left. The caller holds the lock, so none is still at work."""
    for left in Path(folder).glob(".part-*"):
        shutil.rmtree(left, ignore_errors=True)


#: Downloads and compilations of other pins are kept this long, for those who change between branches.
KEPT_DAYS = 14


def used(folder):
    """Notes in a cached folder's time that it is still of use."""
    os.utime(folder)


def expire(cache):
    """Removes what no build has used for long."""
    for folder in Path(cache).iterdir():
        if folder.stat().st_mtime < time.time() - KEPT_DAYS * 24 * 3600:
            discard(folder)


def copy(source, target):
    """Copies a file or a tree, symlinks as symlinks, into a place whose parents may not exist yet."""
    if os.path.isdir(source):
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)


def write(path, text, mode=0o644):
    """A text file in a place whose parents may not exist yet."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def drop_dangling_links(root):
    """Debian links into packages that are not part of ours; a dangling link is no content."""
    for folder, subfolders, names in os.walk(root):
        for name in names + subfolders:
            path = Path(folder, name)
            if path.is_symlink() and not path.exists():
                path.unlink()
