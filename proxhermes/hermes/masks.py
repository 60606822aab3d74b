"""What is not shown of settings and .env: secrets, by the names they stand under and the shapes they have.

Others' files are shown, too, and nobody says which of their values are secrets. So rather one too many is hidden than
a secret on somebody's screen. What is refused in the inventory is told more narrowly: `inventory.hermes_rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from proxhermes.hermes import yaml_readers
from proxhermes.hermes.env import parse, values
from proxhermes.hermes.yaml_edit import dumped, inline
from proxhermes.inventory.secrets import MASK
from proxhermes.inventory.tree import SHAPES

_WORDS: Final = (
    r"(?:token|(?:^|(?:api|access|auth|bot|app|user|refresh)[_-]?)tokens|secrets?|pass(?:w(?:or)?ds?|phrases?|code)?"
    r"|(?<![a-z])(?:pwd?|pat|dsn|jwt|sig)|keys?|cred(?:ential)?s?|authorization|[_-]auth|bearer|cookies?|signature"
    r"|webhook[_-]?url|headers?)(?:[_-]?\d+)?"
)
"""Ends of names; `max_tokens` is none of them."""
_NAME: Final = re.compile(rf"{_WORDS}$", re.IGNORECASE)
_VARIABLE: Final = r"\$\{\s*(?:env:)?\s*\w+\s*\}"
_SCHEME: Final = r"(?:(?:bearer|basic|token)\s+)?"
_REFERENCE: Final = re.compile(rf"(?:(?:(?:proxy-)?authorization:\s*)?{_SCHEME}(?:{_VARIABLE})+)?", re.IGNORECASE)
"""What may stand where a secret does, `Authorization: Bearer ${NAME}` at the most."""
_NAMED: Final = re.compile(
    rf"((?<![\w./-])[\w.-]*{_WORDS}[\"']?[ \t]*[:=][ \t]*|(?<![\w-])--?[\w-]*{_WORDS}[ \t]+)"
    rf"(?!{_SCHEME}{_VARIABLE}(?:[\s&\"',;]|$))[^\s][^\r\n]*",
    re.IGNORECASE,
)
"""`NAME=value`, `NAME: value`, `--name value` within a text, to the end of the line."""
_USER: Final = re.compile(
    rf"(?<=://)(?!(?:(?:[\w.-]*|{_VARIABLE}):)?{_VARIABLE}@)"
    r"(?:([^\s/?#@:\"]*:)(?:[^\s/?#\"]*|(?!\d{0,5}[/?#])[^\s\"]{1,256}?)|[^\s/?#@:\"]*)@"
)
"""User and password of an address; who forgot to escape a `/` in the latter gets it hidden, too."""
_SHAPE: Final = re.compile(rf"(?<![A-Za-z0-9])(?:{SHAPES})|(?<=bearer )(?!\$\{{)[^\s\"']{{8,}}", re.IGNORECASE)
_COMMENT: Final = re.compile(r"(?<!\S)#[^\r\n]*")


def hides(name: str) -> bool:
    """Whether values under this name are not shown."""
    return _NAME.search(name) is not None


def masked(value: Any, *path: object) -> Any:
    """`value`, which stands at `path`, with a mask for each secret in it; its keys as text."""
    return _masked(value, any(hides(str(part)) for part in path))


def in_text(text: str) -> str:
    """The text with all that looks like a secret in it masked."""
    text = _USER.sub(lambda found: f"{found[1] or ''}{MASK}@", text)
    return _SHAPE.sub(MASK, _NAMED.sub(lambda found: found[1] + MASK, text))


def settings_text(text: str) -> str:
    """The YAML text, one that can be read, with its secrets masked and all else as it stands."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:  # one that the reader of a newer Hermes alone takes
        return dumped(masked(yaml_readers.load(text, "ruamel")))
    scalars: dict[int, tuple[yaml.ScalarNode, bool]] = {}
    for node, hidden in _scalars(root, False, set()) if root else ():
        # By its place: what an alias stands for is hidden if it is hidden anywhere.
        start = node.start_mark.index
        if start < node.end_mark.index:
            scalars[start] = node, hidden or scalars.get(start, (node, False))[1]
    parts: list[str] = []
    at = 0
    for start, (node, hidden) in sorted(scalars.items(), key=lambda item: item[0]):
        parts += _comments(text[at:start]), _written(node, text[start : node.end_mark.index], hidden)
        at = node.end_mark.index
    return "".join((*parts, _comments(text[at:])))


def env_text(text: str, plain: Mapping[str, str]) -> str:
    """The text of a .env with all values masked but those of `plain`, and those that are masked in it, too."""
    parts: list[str] = []
    for entry in parse(text):
        value = values(entry.text).get(entry.key or "", "")
        if value and masked(value, entry.key) != plain.get(entry.key or ""):
            blank = len(entry.text) - len(entry.text.lstrip("\ufeff \t\r\n\f\v"))
            parts.append(f"{entry.text[:blank]}{entry.key}={MASK}\n")
        else:
            parts.append(entry.text if "#" in value else _COMMENT.sub(_commented, entry.text))
    return "".join(parts)


def _commented(found: re.Match[str]) -> str:
    """A comment of .env: mostly a line that somebody took out."""
    return re.sub(r"=[^\r\n]*", f"={MASK}", in_text(found[0]))


def _masked(value: Any, hidden: bool) -> Any:
    if isinstance(value, Mapping):
        pair = _is_pair(value.get("name"))
        return {str(key): _masked(child, hidden or hides(str(key)) or key == pair) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        befores = ("", *value)
        return [_masked(item, hidden or _is_option(before, item)) for before, item in zip(befores, value, strict=False)]
    if value is None or isinstance(value, bool):
        return value
    if hidden or isinstance(value, str):
        return _leaf(str(value), hidden)
    return value


def _leaf(text: str, hidden: bool) -> str:
    if hidden:
        return text if _REFERENCE.fullmatch(text) else MASK
    return in_text(text)


def _is_pair(name: Any) -> str | None:
    """The key of what is hidden in `{name: A_TOKEN, value: …}`."""
    return "value" if isinstance(name, str) and hides(name) else None


def _is_option(before: Any, value: Any) -> bool:
    """Whether this item of a list is the value of the one before: `--token`, `-H`."""
    option = str(before)
    named = option.startswith("-") and (hides(option.lstrip("-")) or option == "-H")
    return named and not str(value).startswith("--")


def _scalars(node: yaml.Node, hidden: bool, seen: set[tuple[int, bool]]) -> Iterator[tuple[yaml.ScalarNode, bool]]:
    """Every scalar of the tree, keys as well, and whether it is hidden by where it stands."""
    if (id(node), hidden) in seen:
        return
    seen.add((id(node), hidden))
    if isinstance(node, yaml.ScalarNode):
        yield node, hidden
    elif isinstance(node, yaml.MappingNode):
        pair = _is_pair(next((value.value for key, value in node.value if key.value == "name"), None))
        for key, value in node.value:
            yield from _scalars(key, False, seen)
            yield from _scalars(value, hidden or hides(str(key.value)) or key.value == pair, seen)
    elif isinstance(node, yaml.SequenceNode):
        before = ""
        for item in node.value:
            yield from _scalars(item, hidden or _is_option(before, item.value), seen)
            before = item.value


def _written(node: yaml.ScalarNode, text: str, hidden: bool) -> str:
    """The scalar as it stands in the text, or with its mask in its place."""
    tag = node.tag.rpartition(":")[2]
    shown = node.value if tag in ("null", "bool") else _leaf(node.value, hidden)
    if shown != node.value:
        anchor = re.match(r"(?:&\S+\s+|!\S*\s+)*", text)
        kept = " ".join(part for part in (anchor[0] if anchor else "").split() if part.startswith("&"))
        end = text[len(text.rstrip("\r\n")) :] if node.style in ("|", ">") else ""
        return f"{kept} {inline(shown, flow=True)}{end}".lstrip()
    head, newline, rest = text.partition("\n")
    return _comments(head) + newline + rest if node.style in ("|", ">") else text


def _comments(text: str) -> str:
    return _COMMENT.sub(lambda found: in_text(found[0]), text)
