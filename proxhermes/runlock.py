"""One run at a time for an agent on this machine; two at once would each undo what the other sees."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from proxhermes.errors import ProxhermesError
from proxhermes.runlog import state_folder


@contextmanager
def agent_lock(api: str, node: str, vmid: int) -> Iterator[None]:
    """Hold the agent's lock. The system frees it when the process ends, however it ends.

    api: the API's host and port, for two clusters may have a node and a VMID of the same name.

    Raises ProxhermesError at once if another run holds it, naming that run's process id, or if it cannot be made.
    """
    folder = state_folder() / "lock"
    path = folder / f"{api.replace('/', '_')}-{node}-{vmid}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = path.open("a+")
    except OSError as error:
        raise ProxhermesError(
            f"the lock of agent {vmid} cannot be made: {error}",
            hint="$XDG_STATE_HOME names another folder for locks and logs",
        ) from None
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ProxhermesError(
                f"another run of proxhermes is at work on agent {vmid} (process {file.read().strip() or 'unknown'})",
                hint="wait for it to end, or stop it with Ctrl-C; it leaves nothing half-written",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
