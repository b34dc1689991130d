"""The channel's index: `repodata.json`, its `.zst`, and shards (CEP 16)."""

import asyncio

from rattler.index import index_fs


def write(channel):
    """Indexes every subdir; `noarch` must exist even when it is empty."""
    (channel / "noarch").mkdir(parents=True, exist_ok=True)
    asyncio.run(index_fs(channel, write_zst=True, write_shards=True, force=True))
