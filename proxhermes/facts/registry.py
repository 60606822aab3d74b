"""What an image's tag means now, asked from inside the guest: through its network, its proxy and its certificates.

The answers come from anybody, so each is measured by a digest that was computed here (`hermes.image` reads them).
"""

from __future__ import annotations

import base64
import binascii
import time
from typing import TYPE_CHECKING, Final

from proxhermes.facts.frame import frame
from proxhermes.hermes import compose, daemon, image, registry
from proxhermes.hermes.image import Build, Unanswered

if TYPE_CHECKING:
    from proxhermes.facts.guest import GuestFacts
    from proxhermes.inventory.models import Agent
    from proxhermes.transport.pct import Bundle, Guest

SCRIPT: Final = "guest-registry.sh"
LIMIT_S: Final = 15.0
"""For all questions together, with up to 5 s more for the last of them to be ended."""
_QUESTIONS: Final = 3  # an index, the manifest in it, the image's configuration
_LONGEST_REASON: Final = 200


def newer(agent: Agent, guest: Guest, facts: GuestFacts) -> Build | None:
    """What the tag of the agent's image means now; None where the image in the guest is what it means.

    facts: of a guest that has the image. Raises Unanswered where no registry answers, or oddly; and what the guest's
    door raises.
    """
    name = image.parse(compose.contained(agent).image)
    known = {*image.digests(name, facts.image_digests), f"sha256:{(facts.image_id or '').removeprefix('sha256:')}"}
    bundle, deadline = _bundle(agent, name, facts), time.monotonic() + LIMIT_S
    folder, wanted, first = "manifests", name.tag, ""
    for _ in range(_QUESTIONS):
        body = _ask(guest, bundle, f"{name.repository}/{folder}/{wanted}", deadline)
        digest = image.digest(body)
        if first and digest != wanted:
            raise Unanswered(f"what came for {wanted} is something else")
        first = first or digest
        if folder == "blobs":
            return Build(first, *image.described(body))
        folder, wanted = ("", "") if digest in known else image.following(body, facts.image_architecture)
        if not wanted or wanted in known:
            return None
    raise Unanswered("an index of an index")


def _bundle(agent: Agent, name: image.Name, facts: GuestFacts) -> Bundle:
    plain = daemon.plain_registries(facts.content("daemon")) if compose.contained(agent).engine == "docker" else ()
    bases = image.bases(name, map(str, agent.engine.registry_mirrors), plain)
    listed = "".join(f"{base}\n" for base in bases).encode()
    return {**frame(agent, SCRIPT), **registry.curl_logins(agent), "registry.list": (listed, 0o600)}


def _ask(guest: Guest, bundle: Bundle, path: str, deadline: float) -> bytes:
    left = max(1.0, deadline - time.monotonic())
    accept = "*/*" if "/blobs/" in path else image.MANIFESTS
    result = guest.run(bundle, SCRIPT, [path, accept], timeout=left, doing="asking an image registry")
    told = dict(line.partition("=")[::2] for line in result.stdout.splitlines())
    if "body:b64" not in told:
        reason = " ".join(told.get("error", "").split())
        raise Unanswered(reason[:_LONGEST_REASON] or "no answer")
    try:
        return base64.b64decode(told["body:b64"], validate=True)
    except binascii.Error:
        raise Unanswered("what came is not whole") from None
