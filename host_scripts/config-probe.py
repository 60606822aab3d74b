"""Compares what the agent's own Hermes reads of its settings with what was declared. Runs as the agent, in its place.

    python -I -c TEXT HOME <DECLARED

DECLARED: JSON, by the name of a profile (the agent's own: empty) a list of [PATH, DIGEST, SHOWN]; as
`proxhermes.verify.configuration` has it. PATH: keys as `told` makes them; DIGEST: of the declared value; SHOWN: whether
another value may be told. Prints JSON, by these names: `line` of a file that Hermes cannot read (0: not known), else
null; `same`: how many it reads as declared; `others`: [INDEX, HOW, TEXT] of some that it does not; `more`: how many
others there are.

HOW: `managed`, an administrator's file says otherwise; `own`, it is in the file, and Hermes takes it as another key of
its own; `ignored`, it is in the file, and Hermes reads something else, or nothing; `absent` and `differs`, of the file
itself.

Hermes is asked in this one process, with none of the agent's variables in its environment but KEPT, which it needs:
so no other `${NAME}` is replaced, and no secret is read. Isolated from its workspace; its code is root's.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

MOST, LONGEST = 20, 200
# Without the last four, Hermes would close its folders and give them another owner as it looks (hermes_cli/config.py).
KEPT = (
    *("PATH", "HOME", "LANG", "HERMES_MANAGED_DIR"),
    *("HERMES_HOME_MODE", "HERMES_MANAGED", "HERMES_UID", "HERMES_GID"),
)
# Keys that Hermes takes as others, where those are not there themselves (hermes_cli/config.py: _canonicalize_config).
TAKEN_AS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("max_turns",): ("agent", "max_turns"),
    **{(name,): ("model", name) for name in ("provider", "base_url", "context_length")},
    **dict.fromkeys((("api_base",), ("model", "api_base")), ("model", "base_url")),
    **dict.fromkeys((("model",), ("model", "model"), ("model", "name")), ("model", "default")),
}
ABSENT = object()


def main() -> None:
    home, out = sys.argv[1], sys.stdout
    sys.stdout = sys.stderr
    declared = json.load(sys.stdin)
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)
    answers = {}
    for name, keys in declared.items():
        os.environ["HERMES_HOME"] = f"{home}/profiles/{name}" if name else home
        answers[name] = compared(keys)
    print(json.dumps(answers), file=out)


def compared(declared: list[Any]) -> dict[str, Any]:
    from hermes_cli import config, managed_scope  # type: ignore[import-not-found]
    from utils import fast_safe_load  # type: ignore[import-not-found]

    try:
        with Path(config.get_config_path()).open(encoding="utf-8-sig") as file:
            raw = fast_safe_load(file)
    except OSError:
        raw = {}
    except Exception as error:  # noqa: BLE001 - as Hermes has it: whatever it is, the file cannot be read
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        return {"line": mark.line + 1 if mark else 0, "same": 0, "others": [], "more": 0}
    expand = getattr(config, "_expand_env_vars", lambda value: value)
    read, managed = config.load_config(), managed_scope.load_managed_config()
    others = []
    for index, (path, digest, shown) in enumerate(declared):
        found, written = at(read, path), at(raw, path)
        is_written = digested(written) == digest
        meant = digested(expand(written)) if is_written else digest
        if digested(found) in (digest, meant):
            continue
        if at(managed, path) is not ABSENT:
            how = "managed"
        elif is_written:
            how = "own" if digested(at(read, taken_as(path))) == meant else "ignored"
        else:
            how = "absent" if found is ABSENT else "differs"
        others.append([index, how, text(found) if shown else ""])
    some = sorted(others, key=lambda each: each[1] == "own")[:MOST]
    return {"line": None, "same": len(declared) - len(others), "others": some, "more": len(others) - len(some)}


def at(tree: Any, path: list[Any]) -> Any:
    for part in path:
        found = [value for key, value in tree.items() if told(key) == part] if isinstance(tree, dict) else []
        if not found:
            return ABSENT
        tree = found[0]
    return tree


def taken_as(path: list[Any]) -> list[Any]:
    names = tuple(part[1] for part in path if part[0] == "str")
    return [["str", name] for name in TAKEN_AS.get(names, names)]


def told(value: Any) -> list[Any]:
    """The value with its types, as JSON has it."""
    if isinstance(value, dict):
        return ["map", sorted(([told(key), told(item)] for key, item in value.items()), key=json.dumps)]
    if isinstance(value, (list, tuple)):
        return ["list", [told(item) for item in value]]
    return [type(value).__name__, str(value)]


def digested(value: Any) -> str:
    return hashlib.sha256(json.dumps(told(value)).encode()).hexdigest()


def text(value: Any) -> str:
    return "" if value is ABSENT else json.dumps(value, ensure_ascii=False, default=str)[:LONGEST]


main()
