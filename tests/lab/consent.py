"""The owner of an agent at a login of its MCP servers, and what the node's servers have seen."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from typing import Any

from conftest import Operator

from proxhermes.lab.node.paths import BRIDGE_ADDRESS


def told(operator: Operator, port: int, path: str = "record") -> Any:
    """What a server of the node's has recorded."""
    with urllib.request.urlopen(f"http://{operator.lab.slot.node_address}:{port}/{path}", timeout=10) as answer:
        return json.load(answer)


class Browser(urllib.request.HTTPRedirectHandler):
    """The owner's browser: without a route to the guests' net, it takes the node's outer address for the inner one."""

    def __init__(self, operator: Operator) -> None:
        self._node = operator.lab.slot.node_address
        self._open = urllib.request.build_opener(self).open

    def near(self, url: str) -> str:
        return url.replace(f"//{BRIDGE_ADDRESS}:", f"//{self._node}:")

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        return super().redirect_request(req, fp, code, msg, headers, self.near(newurl))

    def consent(self, url: str, decision: str) -> str:
        """Go to the page, decide, and follow the way back; what is shown at its end."""
        with self._open(self.near(url), timeout=20) as page:
            request = re.search(r'name="request" value="([^"]+)"', page.read().decode())
            address = page.url.partition("?")[0]
        assert request
        form = urllib.parse.urlencode({"request": request[1], "decision": decision})
        with self._open(address, form.encode(), timeout=60) as page:
            return str(page.read().decode())


def begin(operator: Operator, *more: str, vmid: int, server: str = "consented") -> tuple[subprocess.Popen[str], str]:
    """Start a login; the address that it shows.

    Hermes has the browser come back to one of a few ports, and the stories beside this one are on the same workstation.
    """
    deadline = time.monotonic() + 180
    while True:
        run = operator.start("mcp", "login", str(vmid), server, "--no-browser", *more)
        assert run.stdout is not None
        address = run.stdout.readline().strip()
        if address.startswith("http"):
            return run, address
        said = run.communicate(timeout=60)[1]
        assert "nothing can listen" in said and time.monotonic() < deadline, said
        time.sleep(1)
