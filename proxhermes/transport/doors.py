"""The three doors of one node, each opened when first used."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from proxhermes.events import Events

if TYPE_CHECKING:
    from proxhermes.inventory.models import Node
    from proxhermes.transport.pct import Guest
    from proxhermes.transport.pve import Pve
    from proxhermes.transport.ssh import Ssh


class Doors:
    """`pve`: the API with the token; `ssh`: the root shell; `guest(vmid)`: the inside of a container.

    name: the node's name in the inventory, for messages. As a context manager it closes what was opened.
    """

    def __init__(self, node: Node, events: Events, name: str = "") -> None:
        self.node = node
        self.events = events
        self.name = name or node.api_host
        self._pve: Pve | None = None
        self._ssh: Ssh | None = None

    # The libraries behind a door take a moment to load; a command that does not use it does not wait for them.

    @property
    def pve(self) -> Pve:
        if self._pve is None:
            from proxhermes.transport.pve import Pve

            self._pve = Pve(self.node, self.events, self.name)
        return self._pve

    @property
    def ssh(self) -> Ssh:
        if self._ssh is None:
            from proxhermes.transport.ssh import Ssh

            self._ssh = Ssh(self.node, self.events, self.name)
        return self._ssh

    def guest(self, vmid: int) -> Guest:
        from proxhermes.transport.pct import Guest

        return Guest(self.ssh, vmid)

    @property
    def calls(self) -> int:
        """API calls so far."""
        return self._pve.calls if self._pve else 0

    @property
    def commands(self) -> int:
        """SSH commands so far."""
        return self._ssh.commands if self._ssh else 0

    def close(self) -> None:
        if self._pve is not None:
            self._pve.close()
        if self._ssh is not None:
            self._ssh.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
