"""All that the inventory gives an agent, read once, for those who plan: the operator's files and secrets with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from proxhermes.errors import UsageError
from proxhermes.hermes import crons, documents, environment, package, settings
from proxhermes.hermes.environment import Environment
from proxhermes.hermes.files import decoded
from proxhermes.hermes.mcp import TOKENS, token_name
from proxhermes.inventory import profiles
from proxhermes.inventory.hermes_rules import names_a_secret
from proxhermes.inventory.models import Agent
from proxhermes.inventory.profiles import ProfileAgent
from proxhermes.inventory.secrets import SecretFile, mask_everywhere

AUTH: Final = "auth.json"


@dataclass(frozen=True, slots=True)
class Seed:
    """A file of logins that the agent goes on with by itself. path: below HERMES_HOME.

    overwrite: one that is there gives way as well, once for each new content; else it stays whatever is in it.
    """

    path: str
    content: bytes = field(repr=False)
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an agent is to have. settings: the tree for config.yaml; config_text: a whole file in its place; package:
    files for the agent's own code; profiles: what each of its profiles is to have."""

    environment: Environment
    settings: Mapping[str, Any]
    config_text: str | None = None
    files: tuple[documents.Given, ...] = ()
    seeds: tuple[Seed, ...] = ()
    package: package.Files = field(default_factory=package.Files)
    crons: Mapping[str, crons.Definition] = field(default_factory=dict)
    profiles: Mapping[str, Wanted] = field(default_factory=dict)


def gather(agent: Agent) -> Wanted:
    """Read all of it. Raises SecretError and UsageError with the option that is wrong, before anything is changed."""
    return Wanted(
        environment=environment.environment(agent),
        settings=settings.declared(agent),
        config_text=config_text(agent),
        files=documents.given(agent),
        seeds=tuple(_seeds(agent)),
        package=package.Files() if agent.profile else package.given(agent),
        crons=crons.declared(agent),
        profiles={profile.name: gather(profile) for profile in profiles.of(agent)},
    )


def nothing(profile: ProfileAgent) -> Wanted:
    """What a profile is to have that the inventory does not have any more."""
    return Wanted(Environment({}, frozenset()), {}, files=documents.parked(profile))


def config_text(agent: Agent) -> str | None:
    """The operator's own config.yaml, if there is one. Raises UsageError where it cannot be read."""
    file = agent.hermes.config_file
    return None if file is None else decoded(file.read(f"{agent.option}.config_file"), file.written)


def _seeds(agent: Agent) -> Iterator[Seed]:
    """Names as in Hermes 0.19: hermes_cli/auth.py, tools/mcp_oauth.py (HermesTokenStorage)."""
    hermes, at = agent.hermes, agent.option
    if hermes.auth_file is not None:
        yield Seed(AUTH, logins(hermes.auth_file, f"{at}.auth_file"), hermes.auth_file_force_overwrite)
    for name, login in hermes.mcp_tokens.items():
        file = f"{TOKENS}/{token_name(name)}"
        yield Seed(f"{file}.json", logins(login.token, f"{at}.mcp_tokens.{name}.token"))
        if login.client is not None:
            yield Seed(f"{file}.client.json", logins(login.client, f"{at}.mcp_tokens.{name}.client"))


def logins(reference: SecretFile, option: str) -> bytes:
    """The JSON object behind `reference`; the secrets in it are masked from now on. Raises UsageError for another."""
    text = reference.resolve(lines=True).reveal()
    try:
        tree = json.loads(text)
    except ValueError:  # cut off: its message holds some of the text
        tree = None
    if not isinstance(tree, dict):
        raise UsageError(f"{option}: {reference} is not a JSON object, as Hermes keeps its logins")
    _mask(tree)
    return f"{text}\n".encode()


def _mask(tree: object) -> None:
    if isinstance(tree, list):
        for item in tree:
            _mask(item)
    elif isinstance(tree, dict):
        for name, value in tree.items():
            if isinstance(value, str) and names_a_secret(name):
                mask_everywhere(value)
            _mask(value)
