"""The keys of config.yaml that the inventory declares: `hermes.settings` and the typed sections, in one tree.

A section and `settings` never disagree here: `inventory.hermes_rules` refuses that with both places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from proxhermes import upstream
from proxhermes.hermes import layout, mcp, messaging, route
from proxhermes.hermes.merge import lookup, merged

if TYPE_CHECKING:
    from proxhermes.inventory.models import Agent, LiteLLM
    from proxhermes.inventory.terminal import Terminal

KEY_VARIABLE: Final = "LITELLM_API_KEY"
VERSION: Final = "_config_version"
"""Key of config.yaml that says which form the file has; Hermes raises it when it brings the file up to date."""


def declared(agent: Agent) -> dict[str, Any]:
    """All that the inventory says for config.yaml; nothing if it gives a whole file (`config_file`).

    Without what LiteLLM tells of the model's context: see `with_context`.
    """
    hermes = agent.hermes
    if hermes.config_file is not None:
        return {}
    sections: dict[str, Any] = {"model": _model(agent.litellm)}
    if agent.litellm.ca_file is not None:
        # Found by its URL, by the gateway and all that it starts (0.19, 0.22: get_custom_provider_tls_settings).
        server = {"base_url": agent.litellm.base_url, "key_env": KEY_VARIABLE, "ssl_ca_cert": route.ca_path(agent)}
        sections["providers"] = {"litellm": server}
    sections = merged(sections, messaging.settings(agent.messaging))
    terminal = _terminal(hermes.terminal)
    if hermes.working_directory is not None:
        terminal["cwd"] = hermes.working_directory
    for name, block in (("terminal", terminal), ("mcp_servers", mcp.render(hermes.mcp_servers))):
        if block:
            sections[name] = block
    if any(profile.gateway.enable for profile in hermes.profiles.values()):
        sections["gateway"] = {"multiplex_profiles": True}  # what Hermes decides by itself at a start else
    tree = merged(hermes.settings, sections)
    if hermes.plugins:
        # Hermes loads what this list names and nothing else, so both sides' names go into it.
        others = lookup(tree, ("plugins", "enabled"))
        own = [name for name, plugin in hermes.plugins.items() if plugin.enabled]
        names = [*(others if isinstance(others, list) else ()), *own]
        tree = merged(tree, {"plugins": {"enabled": list(dict.fromkeys(names))}})
    return tree


def with_context(tree: Mapping[str, Any], length: int | None) -> dict[str, Any]:
    """`tree` with the model's context in tokens as LiteLLM told it, unless the inventory says it or there is none."""
    if length is None or not tree or "context_length" in tree["model"]:
        return dict(tree)
    return merged(tree, {"model": {"context_length": length}})


def version(agent: Agent, code: upstream.Code | None) -> int:
    """The `_config_version` of a new file: the inventory's, or the one of the Hermes that is installed."""
    installed = code.newest_config if code else upstream.release(None).config_version
    return installed if agent.hermes.config_version is None else agent.hermes.config_version


def defaults(agent: Agent, version: int | None = None) -> dict[str, Any]:
    """Keys that are set only where config.yaml says nothing. version: of a file that is not there yet."""
    if agent.hermes.config_file is not None:
        return {}
    found: dict[str, Any] = {} if version is None else {VERSION: version}
    return {**found, "terminal": {"cwd": layout.working_directory(agent)}, **messaging.defaults(agent.messaging)}


def _model(litellm: LiteLLM) -> dict[str, Any]:
    """The model's keys.

    Hermes sends a key to a host of one's own only if config.yaml names it (0.19: hermes_cli/runtime_provider.py);
    `provider: custom` with OPENAI_API_KEY in .env alone does not authenticate.
    """
    model: dict[str, Any] = {
        "default": litellm.model,
        "provider": "custom",
        "base_url": litellm.base_url,
        "api_key": f"${{{KEY_VARIABLE}}}",
    }
    return model if litellm.context_length is None else {**model, "context_length": litellm.context_length}


def _terminal(terminal: Terminal) -> dict[str, Any]:
    """The keys of `terminal` that are declared, in the model's order in every run, lists as YAML has them."""
    declared = [name for name in type(terminal).model_fields if name in terminal.model_fields_set]
    written = {name: getattr(terminal, name) for name in declared}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in written.items()}
