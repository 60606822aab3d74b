"""A tree checked against a model: pydantic's errors told in the inventory's words, at the place in the file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from proxhermes.inventory.fields import MISTAKE
from proxhermes.inventory.hermes import Hermes
from proxhermes.inventory.runtime import TYPES
from proxhermes.inventory.secrets import SecretRef, SecretSource
from proxhermes.inventory.tree import Path_, Report, Spot, Tree

M = TypeVar("M", bound=BaseModel)

_KINDS: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a block of keys",
    "mapping_type": "a block of keys",
    "model_type": "a block of keys",
}


def validate(
    model: type[M],
    tree: Tree,
    report: Report,
    source: SecretSource,
    *,
    given: Mapping[str, object] | None = None,
    partial: bool = False,
) -> M | None:
    """The model of `tree`, or None with all its mistakes in `report`.

    given: values that are not written in the tree; partial: missing keys are no mistake (and the result may be None).
    """
    data = tree.plain()
    if isinstance(data, dict):
        data = {**data, **(given or {})}
    try:
        return model.model_validate(data, context=source)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    for detail in details:
        if not (partial and detail["type"] == "missing"):
            _tell(detail, model, tree, report)
    return None


def _tell(detail: ErrorDetails, model: type[BaseModel], tree: Tree, report: Report) -> None:
    tagged = tuple(part for part in detail["loc"] if part != "[key]")
    loc = _as_written(tagged)
    found, rest = _follow(tree, loc)
    path = (*found.spot.path, *rest)
    match detail["type"]:
        case "missing":
            field = _model_at(model, tagged[:-1])
            about = field.model_fields[str(loc[-1])].description if field and loc else None
            report.add(found.key, f"`{loc[-1]}` is missing", f"`{loc[-1]}: …` - {about}" if about else "", path=path)
        case "extra_forbidden":
            _tell_unknown(found, tagged, model, tree, report)
        case "runtime_type":
            kind = tree.at("runtime", "type") or found
            report.add(kind.spot, detail["msg"], ", ".join(TYPES), path=kind.spot.path)
        case _:
            spot = found.key if "[key]" in detail["loc"] else found.spot
            report.add(spot, *_words(detail, found, _example(model, tagged)), path=path)


def _as_written(loc: Sequence[str | int]) -> Path_:
    """`loc` without the type of runtime that pydantic puts into it: it stands in the file as `type`."""
    return tuple(part for at, part in enumerate(loc) if not _is_type(loc, at))


def _is_type(loc: Sequence[str | int], at: int) -> bool:
    return at == 1 and loc[0] == "runtime" and loc[1] in TYPES


def _follow(tree: Tree, loc: Sequence[str | int]) -> tuple[Tree, Path_]:
    """The deepest tree on the way along `loc`, and what of `loc` is not there."""
    for index, part in enumerate(loc):
        child: Tree | None = None
        if isinstance(part, int):
            # A single value may stand for a list of one; then the value is the item.
            child = tree.items[part] if part < len(tree.items) else tree if not tree.children else None
        else:
            child = tree.children.get(part)
        if child is None:
            return tree, tuple(loc[index:])
        tree = child
    return tree, ()


def _tell_unknown(found: Tree, loc: Sequence[str | int], model: type[BaseModel], tree: Tree, report: Report) -> None:
    parent = _model_at(model, loc[:-1])
    if parent and issubclass(parent, SecretRef):
        # The key is not repeated: `{hunter2}` is a block with one key.
        ways = ", ".join(SecretRef.WAYS)
        report.add(found.key, "an unknown key in a secret reference", ways, path=found.key.path[:-1])
        return
    name = str(loc[-1])
    types = _types(name)
    if types and parent in TYPES.values() and (kind := _own_type(tree, found)):
        said = f"agent {tree.key.path[-1]} is of type {kind.value} (line {kind.spot.line}), which has no {name}"
        report.add(found.key, said, f"move it to the {' and '.join(types)} agents")
        return
    report.add(found.key, f"unknown key `{name}`", _way_out(name, parent, model, str(loc[0])), path=found.key.path)


def _way_out(name: str, parent: type[BaseModel] | None, root: type[BaseModel], block: str) -> str:
    """Where `name`, which `parent` does not know, may have been meant to stand. block: the root's that it is in."""
    known = list(parent.model_fields) if parent else []
    types = _types(name)
    if types and parent is Hermes:
        return "it belongs into `runtime`, beside `hermes`"
    if types and parent in TYPES.values():
        return f"it is an option of the runtime{'s' if len(types) > 1 else ''} {' and '.join(types)}"
    if place := getattr(parent, "ELSEWHERE", {}).get(name):
        return f"`{place}` in its place"
    if begun := [each for each in known if len(name) > 2 and each.startswith(name)]:
        return f"did you mean `{begun[0]}`?"
    if parent is not root and name in root.model_fields:
        return f"it belongs beside `{block}`"
    if parent and (owners := _owners(parent, name)):
        return f"it belongs into `{owners[0]}`"
    if near := get_close_matches(name.replace("-", "_").lower(), known, n=1):
        return f"did you mean `{near[0]}`?"
    if parent is Hermes and (owners := _owners(root, name)):
        return f"it belongs into `{owners[0]}`, beside `hermes`"
    return f"known here: {', '.join(known)}"


def _types(name: str) -> list[str]:
    """The types of runtime that have this option."""
    return [kind for kind, each in TYPES.items() if name in each.model_fields]


def _own_type(tree: Tree, found: Tree) -> Tree | None:
    """The type of runtime that the agent `tree` says itself, where `found` stands in `defaults`, maybe for another."""
    kind = tree.at("runtime", "type")
    own = kind is not None and kind.spot.path[0] != "defaults"
    return kind if own and found.key.path[0] == "defaults" else None


def _words(detail: ErrorDetails, found: Tree, example: object) -> tuple[str, str]:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == MISTAKE:
        return detail["msg"], str(context.get("allowed", ""))
    if wanted := _KINDS.get(kind):
        said = f"{found.kind} stands here instead of {wanted}"
        if kind == "string_type" and isinstance(found.value, bool):
            return said, f'"{found.kind}" in quotes'
        return said, wanted if example is None else f"as in `{_written(example)}`"
    match kind:
        case "literal_error":
            return "this is not one of the values known here", str(context["expected"])
        case "greater_than_equal":
            return "the number is too small", f"at least {context['ge']}"
        case "less_than_equal":
            return "the number is too large", f"at most {context['le']}"
        case "too_long" | "string_too_long":
            return "this is too long", f"at most {context['max_length']}"
        case "too_short" | "string_too_short":
            return "this is empty", f"at least {context['min_length']}"
        case _:
            return detail["msg"], ""


def _example(model: type[BaseModel], loc: Sequence[str | int]) -> object:
    """What may stand at `loc`: the example of its field, or a part of it for an item or an entry; None without one."""
    for end in range(len(loc), 0, -1):
        parent = _model_at(model, loc[: end - 1])
        field = parent.model_fields.get(str(loc[end - 1])) if parent else None
        if field is not None:
            example = field.examples[0] if field.examples else None
            for part in _as_written(loc)[len(_as_written(loc[:end])) :]:
                items = (
                    example if isinstance(example, list) else [*example.values()] if isinstance(example, dict) else []
                )
                example = example[part] if isinstance(example, dict) and part in example else next(iter(items), None)
            return example
    return None


def _written(value: object) -> str:
    """A value as one writes it in the file, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_within(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_within(each) for each in value) + "]"
    return json.dumps(value)


def _within(value: object) -> str:
    """A value in a block or a list; text without quotes where it needs none."""
    return value if isinstance(value, str) and re.fullmatch(r"/?[A-Za-z][A-Za-z0-9_./-]*", value) else _written(value)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field's annotation names: itself, optional, in a list, or in a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, tuple) or get_args(annotation):
        return [model for inner in get_args(annotation) for model in _models_in(inner)]
    return []


def _model_at(model: type[BaseModel] | None, loc: Sequence[str | int]) -> type[BaseModel] | None:
    """The model of the block at `loc`."""
    skip = False
    for at, part in enumerate(loc):
        if _is_type(loc, at):
            model = TYPES[str(part)]
            continue
        if isinstance(part, int) or skip:
            skip = False
            continue
        field = model.model_fields.get(part) if model else None
        if field is None:
            return None
        inner = _models_in(field.annotation)
        model = inner[0] if inner else None
        skip = get_origin(field.annotation) is Mapping
    return model


def _owners(parent: type[BaseModel], name: str) -> list[str]:
    return [
        block
        for block, field in parent.model_fields.items()
        if block != "profiles"  # which have all that the block around them has
        and any(
            name in model.model_fields for model in _models_in(field.annotation) if not issubclass(model, SecretRef)
        )
    ]


def refuse_key(spot: Spot, known: Sequence[str], report: Report) -> None:
    """An unknown key at `spot`, with the nearest one of `known`."""
    name = str(spot.path[-1])
    near = get_close_matches(name, known, n=1)
    report.add(
        spot, f"unknown key `{name}`", f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
    )
