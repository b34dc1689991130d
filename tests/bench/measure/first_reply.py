"""Starts a kernel as Jupyter does, waits for its first reply, prints the seconds.

    bin/python first_reply.py KERNEL

Run by the Python of an environment, whose jupyter_client it uses. The clock runs from the start of
the kernel's process to the reply to one line of code, not while this program itself starts.
"""

from __future__ import annotations

import sys
import time

from jupyter_client import KernelManager


def main() -> None:
    manager = KernelManager(kernel_name=sys.argv[1])
    begin = time.perf_counter()
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    # Queued until the kernel has opened its socket: nothing here polls.
    asked = client.execute("6 * 7")
    while (reply := client.get_shell_msg(timeout=120))["parent_header"].get("msg_id") != asked:
        pass
    seconds = time.perf_counter() - begin
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok", reply
    print("seconds", seconds, flush=True)


main()
