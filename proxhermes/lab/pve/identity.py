"""Who asks: root on the node's own command line, a ticket, or an API token."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """A user such as `hermes@pve`, with the name of the token when one is used.

    Only `root@pam` without a token is the superuser: Proxmox compares the whole string, so `root@pam!token` is not.
    """

    user: str
    token: str | None = None

    @property
    def name(self) -> str:
        """`user@realm` or `user@realm!token`, as it stands in UPIDs."""
        return f"{self.user}!{self.token}" if self.token else self.user

    @property
    def is_root(self) -> bool:
        """Whether this is `root@pam` itself."""
        return self.name == "root@pam"


ROOT = Identity("root@pam")
"""What `pct`, `pvesh` and the other tools act as."""
