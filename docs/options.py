"""Writes docs/options.md: every option of the inventory from the models, and the NixOS module's beside ours.

python docs/options.py > docs/options.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from proxhermes.inventory.documents import Document
from proxhermes.inventory.hermes import Hermes, Home, Profile
from proxhermes.inventory.local import LocalPath
from proxhermes.inventory.messaging import Messaging, Platform
from proxhermes.inventory.models import Agent, LiteLLM, Node
from proxhermes.inventory.runtime import TYPES
from proxhermes.inventory.secrets import SecretRef

UNIT, LAB = "tests/unit", "tests/lab"
_FILLED_IN: Final = {"nodes.NAME.ssh": "", "nodes.NAME.ssh.host": "`api`'s host"}
"""What the loader says before the model asks."""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """An option of the NixOS module. ours: its counterparts (dotted paths); note: what differs, or why there is none.

    tests: FILE::NAME of those that fail without it. newer: not in the module of March 2026.
    """

    option: str
    ours: tuple[str, ...]
    tests: tuple[str, ...] = ()
    note: str = ""
    newer: bool = False


def _one(option: str, ours: str, *tests: str, note: str = "", newer: bool = False) -> Counterpart:
    return Counterpart(option, tuple(ours.split()), tests, note, newer)


_MCP_TEST: Final = f"{UNIT}/hermes/test_mcp.py::test_what_is_declared_is_what_hermes_reads"
_UNIT_TEST: Final = f"{UNIT}/hermes/test_unit.py::test_the_options_of_the_inventory_are_in_the_unit"
_DASHBOARD: Final = f"{UNIT}/hermes/test_compose.py::test_the_images_supervisor_is_told_of_the_dashboard"
_BACKEND: Final = (
    f"{UNIT}/hermes/test_compose.py::test_a_declared_host_and_port_of_the_dashboard_are_what_the_supervisor_gets"
)
_NUMBERS: Final = f"{UNIT}/hermes/test_unit.py::test_the_agents_numbers_are_those_of_the_inventory_everywhere"

_PROFILE_TEST: Final = f"{UNIT}/plan/test_profiles_plan.py::test_a_profile_can_be_given_what_the_agent_can"

MODULE: Final[tuple[Counterpart, ...]] = (
    _one("enable", "", note="An agent that stands in the inventory is enabled; `destroy` removes it."),
    _one(
        "package", "runtime.package",
        f"{LAB}/test_native.py::test_from_a_wheel_with_packages_of_ones_own",
        f"{LAB}/test_native.py::test_from_git_a_branch_that_moves_is_another_version",
        note="From an image, PyPI, a wheel or git; with `type: docker` it is `runtime.image`.",
    ),
    _one(
        "user", "runtime.user hermes.uid", _UNIT_TEST, _NUMBERS,
        note="Its name with `type: native`, its number with any.",
    ),
    _one("group", "runtime.group hermes.gid", _UNIT_TEST, _NUMBERS),
    _one("createUser", "runtime.create_user", f"{LAB}/test_native.py::test_a_user_that_is_somebody_elses_is_refused"),
    _one(
        "stateDir", "runtime.state_dir", _UNIT_TEST,
        note="With the official image, `hermes.data_dir`: the image has everything in one volume.",
    ),
    _one(
        "workingDirectory", "hermes.working_directory",
        f"{UNIT}/hermes/test_settings.py::test_sections_and_settings_are_one_tree",
        f"{UNIT}/hermes/test_documents.py::test_the_working_directory_as_the_guest_sees_it",
        note="Only a declared one overrules `terminal.cwd` of the user; the module always does.",
    ),
    _one(
        "configFile", "hermes.config_file",
        f"{LAB}/test_settings.py::test_a_whole_file_is_put_in_place_as_it_is_and_leaves_again",
        note="`settings` beside it is an error; the module ignores them in silence.",
    ),
    _one(
        "settings", "hermes.settings hermes.settings_files",
        f"{UNIT}/hermes/test_config.py::test_without_a_memory_it_is_the_modules_merge",
        f"{LAB}/test_settings.py::test_what_leaves_the_inventory_goes_unless_the_agent_changed_it",
        note="Comments survive, and a key that is declared no more goes; in the module it stays for ever.",
    ),
    _one(
        "environment", "hermes.environment",
        f"{UNIT}/hermes/test_env.py::test_python_dotenv_reads_exactly_what_was_meant",
        note="Values are quoted; the module writes them as they are.",
    ),
    _one(
        "environmentFiles", "hermes.environment_files hermes.secrets",
        f"{UNIT}/hermes/test_environment.py::test_files_are_read_by_the_law_of_env",
        f"{UNIT}/hermes/test_environment.py::test_a_missing_file_is_an_error",
        note="A missing file is an error; the module skips it.",
    ),
    _one(
        "authFile", "hermes.auth_file",
        f"{UNIT}/plan/test_files_plan.py::test_a_seed_is_sown_once_and_stays_whatever_becomes_of_it",
        f"{LAB}/test_files.py::test_a_login_that_the_agent_refreshed_stays",
    ),
    _one(
        "authFileForceOverwrite", "hermes.auth_file_force_overwrite",
        f"{LAB}/test_secrets.py::test_what_the_agent_refreshes_stays_and_a_new_file_replaces_it_once",
        note="Once for each change of the file: a token that the agent has refreshed is not set back at every run.",
    ),
    _one(
        "documents", "hermes.documents",
        f"{UNIT}/plan/test_files_plan.py::test_documents_go_where_the_agent_works_and_home_files_into_its_home",
        f"{LAB}/test_files.py::test_the_agent_reads_what_it_was_given",
        note="What the agent changed is not overwritten in silence: `--force-documents`.",
    ),
    _one(
        "hermesHomeFiles", "hermes.home_files",
        f"{UNIT}/plan/test_files_plan.py::test_documents_go_where_the_agent_works_and_home_files_into_its_home",
        f"{LAB}/test_files.py::test_all_of_it_is_there_as_it_was_given", newer=True,
    ),
    *(
        _one(f"mcpServers.<name>.{name}", f"hermes.mcp_servers.NAME.{name}", _MCP_TEST)
        for name in (
            "command", "args", "env", "url", "headers", "auth", "enabled", "timeout", "connect_timeout",
            "tools.include", "tools.exclude", "sampling.enabled", "sampling.model", "sampling.max_tokens_cap",
            "sampling.timeout", "sampling.max_rpm", "sampling.max_tool_rounds", "sampling.allowed_models",
            "sampling.log_level",
        )
    ),
    _one(
        "extraArgs", "runtime.extra_args",
        f"{UNIT}/hermes/test_compose.py::test_arguments_reach_the_gateway_as_the_main_program", _UNIT_TEST,
        f"{UNIT}/hermes/test_persistent.py::test_arguments_arrive_as_they_were_written",
    ),
    _one(
        "extraPackages", "runtime.extra_packages",
        f"{UNIT}/plan/test_native_plan.py::test_packages_that_are_missing_or_of_another_version_are_installed",
        f"{UNIT}/hermes/test_persistent.py::test_the_environment_says_who_the_agent_is_and_who_manages_it",
        f"{LAB}/test_native.py::test_from_a_wheel_with_packages_of_ones_own",
        note="Debian packages; one that is taken out stays installed. The official image has its own; more of them "
        "belong into an image of one's own.",
    ),
    _one(
        "extraPlugins", "hermes.plugins",
        f"{UNIT}/hermes/test_settings.py::test_plugins_are_enabled_beside_those_of_the_settings",
        f"{UNIT}/hermes/test_documents.py::test_texts_files_and_plugins_are_read", newer=True,
    ),
    _one(
        "extraPythonPackages", "runtime.extra_python_packages",
        f"{UNIT}/hermes/test_package.py::test_extra_python_packages_are_installed_along",
        f"{LAB}/test_native.py::test_from_a_wheel_with_packages_of_ones_own", newer=True,
    ),
    _one(
        "extraDependencyGroups", "runtime.extras",
        f"{UNIT}/hermes/test_package.py::test_from_pypi_the_extras_of_both_places_come_together", newer=True,
    ),
    _one(
        "restart", "runtime.restart", _UNIT_TEST,
        f"{UNIT}/hermes/test_compose.py::test_restart_and_health_are_as_declared",
    ),
    _one(
        "restartSec", "runtime.restart_sec", _UNIT_TEST,
        note="With `type: native`. Docker has no such setting: it waits longer each time.",
    ),
    _one(
        "addToSystemPackages", "runtime.add_to_path",
        f"{LAB}/test_native.py::test_hermes_is_on_everybodys_path",
        f"{UNIT}/hermes/test_commands.py::test_in_the_official_image_it_is_the_images_own_command_as_the_agents_user",
        note="`true` by default, and without the group's write access to the state that the module needs for it; with "
        "`hermes-agent` and `hermes-acp`, in any runtime.",
    ),
    _one(
        "backend.mode", "hermes.environment", _DASHBOARD, newer=True,
        note="The dashboard: `HERMES_DASHBOARD: \"1\"`, with `type: docker`. The module's backend serves a desktop "
        "application on the same machine and is refused there, too, beside a container.",
    ),
    _one("backend.host", "hermes.environment", _BACKEND, note="`HERMES_DASHBOARD_HOST`.", newer=True),
    _one(
        "backend.port", "hermes.environment runtime.ports", _BACKEND,
        f"{UNIT}/inventory/test_inventory_runtime.py::test_a_published_dashboard_without_authentication_is_refused",
        note="`HERMES_DASHBOARD_PORT`; published only with authentication.", newer=True,
    ),
    _one(
        "backend.waitFor", "", newer=True,
        note="The dashboard binds in the agent's own network, whose addresses are there before it. Where it is the "
        "guest's (`network: host`) and the address is not there yet, the image's supervisor starts it again until it "
        "is, which is what the module does without this option.",
    ),
    _one(
        "backend.interfaceName", "", newer=True,
        note="`HERMES_DASHBOARD_HOST` is an address or a name, as is that of a published port; none is taken from an "
        "interface.",
    ),
    _one("backend.waitTimeout", "", newer=True, note="There is no wait: see `backend.waitFor`."),
    _one(
        "backend.extraArgs", "", newer=True, note="The image's supervisor starts the dashboard without arguments.",
    ),
    _one(
        "backend.sessionTokenFile", "hermes.secrets",
        f"{UNIT}/hermes/test_environment.py::test_the_dashboards_token_is_a_line_of_env_and_shown_to_nobody",
        note="`HERMES_DASHBOARD_SESSION_TOKEN`, from any kind of reference.", newer=True,
    ),
    *(
        _one(f"profiles.<name>.{option}", f"hermes.profiles.NAME.{ours}", _PROFILE_TEST, newer=True)
        for option, ours in (
            ("settings", "settings"), ("configFile", "config_file"), ("environment", "environment"),
            ("environmentFiles", "environment_files"), ("authFile", "auth_file"),
            ("authFileForceOverwrite", "auth_file_force_overwrite"), ("documents", "documents"),
            ("hermesHomeFiles", "home_files"), ("mcpServers", "mcp_servers"), ("extraPlugins", "plugins"),
        )
    ),
    _one(
        "profiles.<name>.workingDirectory", "hermes.profiles.NAME.working_directory",
        f"{UNIT}/plan/test_profiles_plan.py::test_each_has_a_home_of_its_own_below_the_agents", newer=True,
        note="By default the workspace in the profile's home.",
    ),
    _one(
        "profiles.<name>.gateway.enable", "hermes.profiles.NAME.gateway.enable",
        f"{UNIT}/plan/test_profiles_plan.py::test_the_one_gateway_is_told_to_serve_them",
        f"{LAB}/test_profiles.py::test_the_one_gateway_serves_it_and_not_the_one_that_is_switched_off", newer=True,
        note="`true` by default. One gateway serves all; the module starts one for each.",
    ),
    *(
        _one(f"profiles.<name>.{option}", "", newer=True, note="Of the one gateway: `runtime`.")
        for option in ("extraArgs", "restart", "restartSec")
    ),
    _one(
        "container.enable", "runtime.type", f"{LAB}/test_persistence.py::test_what_persists_across_what",
        note="`persistent` is the module's container mode, `native` its service; `docker` is the official image.",
    ),
    _one(
        "container.backend", "runtime.engine",
        f"{LAB}/test_podman.py::test_a_fresh_container_gets_podman_and_a_verified_agent",
    ),
    _one("container.image", "runtime.image", f"{LAB}/test_persistence.py::test_what_persists_across_what"),
    _one(
        "container.extraVolumes", "runtime.extra_volumes",
        f"{UNIT}/hermes/test_compose.py::test_extra_volumes_are_folders_that_have_to_be_there_and_volumes_that_need_not",
        f"{LAB}/test_docker.py::test_an_extra_volume_is_seen_by_the_agent_and_a_missing_folder_stops_before_the_start",
        note="With `ro` or `rw` and no other mode; the module hands on any.",
    ),
    _one(
        "container.extraOptions", "runtime.compose_override",
        f"{UNIT}/hermes/test_compose.py::test_keys_of_ones_own_are_merged_in",
        f"{LAB}/test_docker.py::test_capabilities_and_other_keys_pass_through",
        note="As keys of the compose service, and network, ports, restart and health as options of their own.",
    ),
    _one(
        "container.hostUsers", "", newer=True,
        note="Users of the NixOS host that share its container's state. The Proxmox container has no users of its own; "
        "with `add_to_path`, whoever is in it has `hermes`.",
    ),
)  # fmt: skip


Option = tuple[str, str, str, str]
"""Path, type, default and meaning."""


def document() -> str:
    """The whole text."""
    container = [option for name in _CONTAINER for option in _option(Agent, "", name)]
    parts = [
        _HEAD,
        "## `nodes`\n", _NODES, _table(_options(Node, "nodes.NAME")),
        "## `litellm`\n", _LITELLM, _table(_options(LiteLLM, "litellm")),
        "## The container\n", _table(container),
        "## `messaging`\n", _MESSAGING, _table(_messaging()),
        "## `hermes`\n", _HERMES, _table(_options(Hermes, "hermes")),
        "## `runtime`\n", *_runtime(),
        "## The NixOS module's options\n", _MODULE_HEAD, _module_table(),
        "## What Hermes' notes of 0.23 add\n", _notes(),
    ]  # fmt: skip
    return "\n".join(parts)


_SECTIONS: Final = ("vmid", "litellm", "messaging", "hermes", "runtime")
_CONTAINER: Final = [name for name in Agent.model_fields if name not in _SECTIONS]
_HEAD: Final = """\
# Options

Written by `docs/options.py` from the inventory's models; a test fails when it is out of date.
`proxhermes inventory schema` says the same to an editor, and `inventory.example.yaml` shows it in use.

What follows `nodes` and `litellm` stands under `agents.VMID`, or under `defaults` for every agent: blocks are joined,
lists and values replaced. NAME stands for a name of one's own, `[]` for each entry of a list. A *path* is a file of
yours, relative to the inventory; a *secret* is a [reference](secrets.md); a *document* is a text or `{file: PATH}`.
"""
_NODES: Final = """\
A single node may leave out `api`, `token` and `token_secret` where `$PROXMOX_VE_ENDPOINT` and `$PROXMOX_VE_API_TOKEN`
(`USER@REALM!NAME=SECRET`) say them.
"""
_LITELLM: Final = """\
Beside `agents`, for all of them; a `litellm` of an agent's own is merged over it.
"""
_MESSAGING: Final = """\
A platform without a section is off. PLATFORM is any of them.
"""
_HERMES: Final = """\
`hermes.profiles.NAME` has all that is here, too, but `data_dir`, `uid`, `gid`, `managed`, `config_version`, `profiles`;
its `messaging` is as an agent's ([profiles](profiles.md)).
"""
_MODULE_HEAD: Final = """\
Of the module `services.hermes-agent` in Hermes' repository, what does the same here, and the tests that would fail
without it. Options with a star came after March 2026.
"""


_NOTES: Final = (
    (
        "`hermes gateway migrate --backends` moves an old `serve` or `dashboard` backend onto the gateway",
        "There is none to be moved: the image's supervisor starts the dashboard, and the other types have none.",
    ),
    ("`hermes plugins config`", "`hermes.settings`: the keys below `plugins`."),
    (
        "The dashboard's password without a terminal",
        "`hermes.secrets: {HERMES_DASHBOARD_BASIC_AUTH_PASSWORD: …}`, which never asked at one.",
    ),
    (
        "The managed scope governs security and URL safety, too",
        "Nothing here writes a managed scope (`/etc/hermes`): such keys go into `hermes.settings`.",
    ),
    ("`prompt_caching.cache_ttl: auto`", "`hermes.settings: {prompt_caching: {cache_ttl: auto}}`."),
    (
        "Storage behind an interface, SQLite as its backend",
        "As far as the notes say, the databases are where they were.",
    ),
)
"""What the notes of 0.23 add, and what it means here."""


def _notes() -> str:
    rows = [
        "Read in the notes of 0.23.0 to 0.23.4, not run: no package of it is in reach.\n",
        "| in the notes | here |",
    ]
    return "\n".join([*rows, "|---|---|", *(f"| {note} | {here} |" for note, here in _NOTES)]) + "\n"


def _messaging() -> Iterator[Option]:
    """What the platforms have in common once, then what each has of its own."""
    yield from _options(Platform, "messaging.PLATFORM")
    for option in _options(Messaging, "messaging"):
        if option[0].rpartition(".")[2] not in Platform.model_fields:
            yield option


def _runtime() -> Iterator[str]:
    """A table for each set of types, of the options that are the same in them and in no other."""
    yield "".join(f"- `type: {name}`: {model.__doc__}\n" for name, model in TYPES.items())
    types: dict[Option, tuple[str, ...]] = {}
    for name, model in TYPES.items():
        for option in _options(model, "runtime"):
            types[option] = (*types.get(option, ()), name)
    for names in sorted(set(types.values()), key=lambda names: (-len(names), *map(list(TYPES).index, names))):
        listed = " or ".join(f"`type: {name}`" for name in names)
        yield f"### With {'any `type`' if len(names) == len(TYPES) else listed}\n"
        yield _table(option for option, its in types.items() if its == names)


def _table(options: Iterable[Option]) -> str:
    rows = ["| Option | Type | Default | Meaning |", "|---|---|---|---|"]
    rows += [f"| `{path}` | {kind} | {default} | {meaning} |" for path, kind, default, meaning in options]
    return "\n".join(rows) + "\n"


def _options(model: type[BaseModel], at: str) -> Iterator[Option]:
    """Each option of a block, other blocks before what is in them; of a profile those that no other home has."""
    for name in model.model_fields:
        if model is not Profile or name not in Home.model_fields:
            yield from _option(model, f"{at}.", name)


def _option(model: type[BaseModel], before: str, name: str) -> Iterator[Option]:
    field, path = model.model_fields[name], before + name
    yield path, _kind(field.annotation), _FILLED_IN.get(path, _default(field)), _cell(field.description or "")
    block, each = _block(field.annotation)
    if block is not None and not (model is Profile and block is Messaging):
        yield from _options(block, path + each)


def paths() -> frozenset[str]:
    """The paths of `hermes` and `runtime`, in which the module's options have their counterparts."""
    runtimes = (option for model in TYPES.values() for option in _options(model, "runtime"))
    profiles = _options(Home, "hermes.profiles.NAME")
    return frozenset(path for path, *_ in (*_options(Hermes, "hermes"), *profiles, *runtimes))


def _block(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The block of keys that an option is, and what follows its own path in theirs, if there are several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (None if issubclass(annotation, SecretRef) or annotation is Document else annotation), ""
    origin, inners = get_origin(annotation), get_args(annotation)
    each = {Mapping: ".NAME", tuple: "[]"}.get(origin, "")
    for inner in inners[1:] if origin is Mapping else inners:
        if isinstance(inner, type) or get_args(inner):
            block, deeper = _block(inner)
            if block is not None:
                return block, each or deeper
    return None, ""


def _kind(annotation: Any) -> str:
    """The type in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    words = {
        bool: "true or false",
        int: "number",
        str: "text",
        LocalPath: "path",
        float: "number",
        Document: "document",
    }
    if annotation in words:
        return words[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "secret" if issubclass(annotation, SecretRef) else "block"
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_kind(each) for each in inner if each is not NoneType))
    if origin is tuple:
        return f"list of {_kind(inner[0])}"
    if origin is Mapping:
        return "settings" if _kind(inner[1]) == "value" else f"{_kind(inner[1])} by name"
    return _kind(inner[0]) if inner else "value"


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        set_ = {name: given for name, given in value if name in value.model_fields_set}
        return _cell(", ".join(f"`{name}: {given}`" for name, given in set_.items()))
    if value in (None, (), {}) or value is PydanticUndefined:
        return ""
    if isinstance(value, tuple):
        return "`[" + ", ".join(map(str, value)) + "]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _module_table() -> str:
    rows = ["| Module | Here | Remarks | Tests |", "|---|---|---|---|"]
    for each in MODULE:
        option = f"`{each.option}`" + ("*" if each.newer else "")
        ours = ", ".join(f"`{path}`" for path in each.ours) or "–"
        tests = "<br>".join(f"`{test}`" for test in each.tests)
        rows.append(f"| {option} | {ours} | {_cell(each.note)} | {tests} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
