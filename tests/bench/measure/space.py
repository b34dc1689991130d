"""What trees take on the disk, hard links counted once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

MIB = 2**20


@dataclass(frozen=True)
class Size:
    """What a set of inodes takes."""

    inodes: int
    folders: int
    """How many of the inodes are folders: those can't be hard-linked."""
    data: int
    """Bytes in regular files, as their length says."""
    disk: int
    """Bytes in blocks, folders' too, as `du` counts."""


@dataclass(frozen=True)
class _Inode:
    is_folder: bool
    data: int
    disk: int


Survey = dict[int, _Inode]
"""The inodes of some trees, by their number; all trees of a run are in one file system."""


def survey(*trees: Path) -> Survey:
    """The inodes at and below the trees; trees that are not there have none."""
    found: Survey = {}
    waiting = [tree for tree in trees if tree.exists()]
    for tree in waiting:
        _enter(found, tree.stat())
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                _enter(found, entry.stat(follow_symlinks=False))
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
    return found


def _enter(found: Survey, stat: os.stat_result) -> None:
    data = stat.st_size if S_ISREG(stat.st_mode) else 0
    found[stat.st_ino] = _Inode(S_ISDIR(stat.st_mode), data, stat.st_blocks * 512)


def added(before: Survey, after: Survey) -> Size:
    """What the inodes take that were not there before."""
    new = [inode for number, inode in after.items() if number not in before]
    return Size(
        len(new),
        sum(inode.is_folder for inode in new),
        sum(inode.data for inode in new),
        sum(inode.disk for inode in new),
    )
