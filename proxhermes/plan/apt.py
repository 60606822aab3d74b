"""Why apt failed in the guest, out of what it said: the clock, a key, a list of somebody else's, or the network. Pure.

Its words are those of apt 2.6 and 3.0 in the locale C (methods/gpgv.cc, sqv.cc; apt-pkg/deb/debmetaindex.cc).
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_CLOCK_SLOW: Final = re.compile(
    r"is not valid yet|Not live until|signature.{0,40}(?:in the future|not yet valid)", re.I
)
_CLOCK_FAST: Final = re.compile(r"Release file for \S+ is expired|is expired \(invalid since", re.I)
_KEY: Final = re.compile(
    r"NO_PUBKEY|EXPKEYSIG|REVKEYSIG|BADSIG|public key is not available|is not signed|Missing key|"
    r"signature verification failed|signatures? (?:couldn't be|were) (?:verified|invalid)|policy rejected|"
    r"sqv returned an error",
    re.I,
)
_GRAMMAR: Final = re.compile(
    r"Malformed (?:entry|stanza|line)|list of sources could not be read|Conflicting values set for option|"
    r"Type '[^']*' is not known",
    re.I,
)
_PROXY: Final = re.compile(r"407\s+Proxy|Proxy Authentication Required|proxy.{0,60}(?:refused|failed|resolv)", re.I)
_NETWORK: Final = re.compile(
    r"Could not (?:resolve|connect|wait for server fd)|Temporary failure resolving|Unable to (?:connect|fetch)|"
    r"Network is unreachable|No route to host|Connection (?:timed out|refused|failed)|Failed to fetch",
    re.I,
)
_SOURCE: Final = re.compile(r"(?:Failed to fetch |The repository '|GPG error: |Release file for )(https?://[^\s']+)")
_HOST: Final = re.compile(r"[a-z0-9.-]{1,100}(?::[0-9]{1,5})?")
_FILE: Final = re.compile(r"/etc/apt/sources\.list(?:\.d/[A-Za-z0-9._-]{1,80})?")
_DISTRIBUTIONS: Final = ("debian.org", "ubuntu.com")


def advice(said: str) -> str | None:
    """What to do about the failure that apt told; None where it told none that is known."""
    text = " ".join(said.split())
    if not re.search(r"(?:^|\n)(?:[EW]: |Err:)|apt-get", said):
        return None
    whose = _whose(text)
    if _CLOCK_SLOW.search(text):
        return "the guest's clock is behind, which is the node's: look at `timedatectl` and chrony on the node"
    if _CLOCK_FAST.search(text):
        return "the source is out of date, or the node's clock is ahead: look at `timedatectl` there, and at the mirror"
    if _KEY.search(text):
        return (
            f"apt does not trust the key of {whose or 'a package source'}: have its key renewed in the guest "
            "(`Signed-By`, /etc/apt/keyrings), or its list removed; the network is not at fault"
        )
    if _GRAMMAR.search(text):
        file = _FILE.search(text)
        return f"apt cannot read {file[0] if file else 'a list of sources'} in the guest: mend it there, or remove it"
    if _PROXY.search(text):
        return "the proxy before the package sources refuses: `guest.http_proxy`, or /etc/apt/apt.conf.d in the guest"
    if whose and not whose.endswith(_DISTRIBUTIONS):
        return (
            f"{whose} alone failed, which is no source of the distribution's: mend or remove its list in the guest, "
            "below /etc/apt/sources.list.d; or is it a mirror (`guest.apt_mirror`)?"
        )
    if _NETWORK.search(text):
        return (
            "the container does not reach its package sources: see its address, gateway and DNS, or its proxy "
            "(`guest.http_proxy`, `guest.apt_mirror`)"
        )
    return None


def _whose(text: str) -> str:
    """The host of the source that failed; of several, one of the distribution's, if there is one."""
    hosts = [urlsplit(url).netloc.rpartition("@")[2].lower() for url in _SOURCE.findall(text)]
    hosts = [host.partition(":")[0] for host in hosts if _HOST.fullmatch(host)]
    own = [host for host in hosts if host.endswith(_DISTRIBUTIONS)]
    return next(iter([*own, *hosts]), "")
