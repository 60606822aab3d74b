"""The JSON Schema of the written form, for editors: made from the models, so that it never lags behind them."""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import models_json_schema

from proxhermes.inventory.models import Agent, Document, LiteLLM, Node

# Items of lists are never merged, so what they need must be there. All else may come from `defaults`, the common
# `litellm`, or the environment.
_WHOLE: Final = {"Mount"}
_REF: Final = "#/$defs/"


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) that every inventory that `load` accepts is valid under."""
    models = [(model, "validation") for model in (Agent, LiteLLM, Node)]
    _, made = models_json_schema(models)  # type: ignore[arg-type]
    definitions: dict[str, Any] = {name: _clean(name, schema) for name, schema in made["$defs"].items()}
    definitions["Agent"]["properties"].pop("vmid")
    top = Document.model_fields

    def block(key: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"description": top[key].description, **schema}

    def each(name: str) -> dict[str, Any]:
        return {"anyOf": [{"$ref": _REF + name}, {"type": "null"}]}

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "proxhermes inventory",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "nodes", "agents"],
        "properties": {
            "version": block("version", {"const": 1}),
            "nodes": block("nodes", {"type": ["object", "null"], "additionalProperties": each("Node")}),
            "litellm": block("litellm", each("LiteLLM")),
            "defaults": block("defaults", each("Agent")),
            "agents": block(
                "agents",
                {
                    "type": ["object", "null"],
                    "patternProperties": {"^[1-9][0-9]{2,8}$": each("Agent")},
                    "additionalProperties": False,
                },
            ),
        },
        "$defs": definitions,
    }


def _clean(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A model's schema without the titles that pydantic invents, and without keys being required that may be merged."""
    cleaned = dict(schema)
    if name not in _WHOLE:
        cleaned.pop("required", None)
    cleaned["properties"] = {key: _property(value) for key, value in schema.get("properties", {}).items()}
    return cleaned if "properties" in schema else schema


def _property(schema: dict[str, Any]) -> dict[str, Any]:
    unneeded = {"title"} | ({"default"} if schema.get("default", "") is None else set())
    return {key: value for key, value in schema.items() if key not in unneeded}
