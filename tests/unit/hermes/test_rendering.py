"""What the inventory says, in Hermes' and compose's own terms."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.errors import SecretError, UsageError
from proxhermes.hermes import daemon, environment, litellm, messaging, ports, settings
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.merge import ABSENT, merged

TELEGRAM = {
    "token": {"env": "TELEGRAM"},
    "allowed_users": [777, 778],
    "group_allowed_chats": ["-100"],
    "home_channel": 777,
    "require_mention": False,
    "base_url": "http://10.1.10.1:8081/bot",
    "base_file_url": "http://10.1.10.1:8081/file/bot",
}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LITELLM_API_KEY", "TELEGRAM", "DISCORD", "SLACK_BOT", "SLACK_APP", "OTHER"):
        monkeypatch.setenv(name, f"{name.lower()}-value")


def test_the_key_is_named_in_config_yaml_and_stands_in_env_alone(make_agent: Any) -> None:
    agent = make_agent()
    assert settings.with_context(settings.declared(agent), 200_000) == {
        "model": {
            "default": "claude-sonnet", "provider": "custom", "base_url": "http://10.1.10.22:4000/v1",
            "api_key": "${LITELLM_API_KEY}", "context_length": 200_000,
        }
    }  # fmt: skip
    lines = environment.environment(agent)
    assert lines.lines["LITELLM_API_KEY"] == "litellm_api_key-value"
    assert "litellm_api_key-value" not in repr(lines)


def test_the_inventory_goes_before_litellm_for_the_context(make_agent: Any) -> None:
    agent = make_agent()
    agent = make_agent(litellm={**agent.litellm.model_dump(exclude_none=True), "context_length": 128_000})
    assert settings.with_context(settings.declared(agent), 200_000)["model"]["context_length"] == 128_000
    assert "context_length" not in settings.declared(make_agent())["model"]


def test_telegram_renders_to_hermes_own_keys(make_agent: Any) -> None:
    sections = make_agent(messaging={"telegram": TELEGRAM}).messaging
    assert messaging.enabled(sections) == ("telegram",)
    assert list(messaging.secrets(sections)) == ["TELEGRAM_BOT_TOKEN"]
    assert messaging.environment(sections) == {
        "TELEGRAM_ALLOWED_USERS": "777,778",
        "TELEGRAM_HOME_CHANNEL": "777",
        "TELEGRAM_REQUIRE_MENTION": "false",
        "TELEGRAM_GROUP_ALLOWED_CHATS": "-100",
        "HERMES_TELEGRAM_DISABLE_FALLBACK_IPS": "true",
    }
    extra = {"base_url": "http://10.1.10.1:8081/bot", "base_file_url": "http://10.1.10.1:8081/file/bot"}
    assert messaging.settings(sections) == {"platforms": {"telegram": {"enabled": True, "extra": extra}}}


def test_discord_and_slack_render_to_hermes_own_keys(make_agent: Any) -> None:
    sections = make_agent(
        messaging={
            "discord": {"token": {"env": "DISCORD"}, "allowed_roles": [1], "allow_all_users": True},
            "slack": {"bot_token": {"env": "SLACK_BOT"}, "app_token": {"env": "SLACK_APP"}, "allowed_channels": ["C1"]},
        }
    ).messaging
    assert set(messaging.secrets(sections)) == {"DISCORD_BOT_TOKEN", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"}
    assert messaging.environment(sections) == {
        "DISCORD_ALLOW_ALL_USERS": "true", "DISCORD_ALLOWED_ROLES": "1", "SLACK_ALLOWED_CHANNELS": "C1",
    }  # fmt: skip
    assert messaging.settings(sections) == {"platforms": {"discord": {"enabled": True}, "slack": {"enabled": True}}}


def test_other_platforms_pass_through_environment_secrets_and_settings(make_agent: Any) -> None:
    agent = make_agent(
        hermes={
            "environment": {"NTFY_TOPIC": "agent"},
            "secrets": {"NTFY_TOKEN": {"env": "OTHER"}},
            "settings": {"model": {"temperature": 0.2}, "skills": {"disabled": ["x"]}},
        }
    )
    lines = environment.environment(agent)
    assert (lines.lines["NTFY_TOPIC"], lines.lines["NTFY_TOKEN"]) == ("agent", "other-value")
    assert lines.secret == {"LITELLM_API_KEY", "NTFY_TOKEN"}
    tree = settings.declared(agent)
    assert tree["model"]["temperature"] == 0.2
    assert tree["model"]["provider"] == "custom"
    assert tree["skills"] == {"disabled": ["x"]}


def test_a_secret_that_is_not_there_is_named_by_its_reference(make_agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LITELLM_API_KEY")
    with pytest.raises(SecretError, match="LITELLM_API_KEY"):
        environment.environment(make_agent())


def test_the_gateways_api_stays_on_and_its_port_is_a_port(make_agent: Any) -> None:
    with pytest.raises(UsageError, match="cannot be switched off"):
        environment.environment(make_agent(hermes={"environment": {"API_SERVER_ENABLED": "false"}}))
    with pytest.raises(UsageError, match="not a port"):
        ports.api_port(make_agent(hermes={"environment": {"API_SERVER_PORT": "many"}}))
    assert ports.api_port(make_agent(hermes={"environment": {"API_SERVER_PORT": 9000}})) == 9000
    for wrong in ("", "99999", "0", "²"):
        with pytest.raises(UsageError, match=r"HERMES_DASHBOARD_PORT: .* is not a port"):
            environment.environment(make_agent(hermes={"environment": {"HERMES_DASHBOARD_PORT": wrong}}))


def test_new_work_goes_to_the_first_writable_mount(make_agent: Any) -> None:
    assert settings.defaults(make_agent(), 33) == {"_config_version": 33, "terminal": {"cwd": "/data"}}
    read_only = [{"host": "/srv/a", "guest": "/ro", "read_only": True}, {"host": "/srv/b", "guest": "/rw"}]
    assert settings.defaults(make_agent(mounts=read_only)) == {"terminal": {"cwd": "/rw"}}
    assert settings.defaults(make_agent(mounts=[])) == {"terminal": {"cwd": "/opt/data/workspace"}}


# daemon.json


def test_daemon_json_is_merged_and_an_unchanged_one_stays_as_it_is(make_agent: Any) -> None:
    agent = make_agent(engine={"registry_mirrors": ["http://10.1.10.1:5000"]})
    settings = daemon.wanted(agent.engine, agent.guest)
    text = '{"data-root": "/srv/docker", "log-driver": "json-file"}'
    after = daemon.update(text, settings)
    assert json.loads(after.text) == merged(json.loads(text), settings)
    assert [(d.path, d.before) for d in after.differences] == [
        (("log-driver",), "json-file"),
        (("registry-mirrors",), ABSENT),
    ]
    assert daemon.update(after.text, settings) == daemon.DaemonUpdate(after.text, ())


@pytest.mark.parametrize(("text", "line"), [('{\n"a": 1,\n}', 3), ("[]", 1)])
def test_a_broken_daemon_json_stops_with_its_line(text: str, line: int) -> None:
    with pytest.raises(UnusableFile) as caught:
        daemon.update(text, {"log-driver": "local"})
    assert caught.value.line == line


# LiteLLM's answers, as 1.106 gives them

MODELS = json.dumps(
    {"data": [{"id": "claude-sonnet", "max_input_tokens": 200_000}, {"id": "openai/*"}], "object": "list"}
)
NO_KEY = '{"error":{"message":"Authentication Error, No api key passed in.","type":"auth_error","code":"401"}}'
NO_DB = '{"error":{"message":"No connected db.","type":"no_db_connection","param":null,"code":"400"}}'


NO_MODEL = (
    '{"error":{"message":"/chat/completions: Invalid model name passed in model=x. Call `/v1/models`","code":"400"}}'
)
NOT_MINE = (
    '{"error":{"message":"key not allowed to access model. This key can only access models=[\'a\']","code":"403"}}'
)
NO_LIST = '{"error":{"message":"Virtual key is not allowed to call this route","code":"403"}}'


def said(status: int, body: str = "{}") -> dict[str, litellm.Asked]:
    return {"hidden": litellm.Asked(status, body)}


@pytest.mark.parametrize(
    ("answer", "model", "standing", "length"),
    [
        (litellm.Answer(200, MODELS), "claude-sonnet", "fine", 200_000),
        (litellm.Answer(200, MODELS), "openai/gpt-x", "fine", None),
        (litellm.Answer(200, MODELS), "claude", "model unknown", None),
        (litellm.Answer(200, '{"data": []}'), "claude", "model unknown", None),
        (litellm.Answer(200, MODELS, asked=said(200)), "hidden", "fine", None),
        (litellm.Answer(200, MODELS, asked=said(400, NO_MODEL)), "hidden", "model unknown", None),
        (litellm.Answer(200, MODELS, asked=said(403, NOT_MINE)), "hidden", "model unknown", None),
        (
            litellm.Answer(200, MODELS, asked=said(400, '{"error": {"message": "max_tokens"}}')),
            "hidden",
            "doubtful",
            None,
        ),
        (litellm.Answer(200, MODELS, asked=said(0, "timed out")), "hidden", "doubtful", None),
        (litellm.Answer(403, NO_LIST, asked=said(200)), "hidden", "fine", None),
        (litellm.Answer(404, "<html>", asked=said(200)), "hidden", "fine", None),
        (litellm.Answer(403, NO_LIST, asked=said(503, "down")), "hidden", "doubtful", None),
        (litellm.Answer(403, NO_LIST, asked=said(400, NO_MODEL)), "hidden", "model unknown", None),
        (litellm.Answer(401, NO_KEY, asked=said(401, NO_KEY)), "hidden", "key refused", None),
        (litellm.Answer(502, "bad gateway", asked=said(502, "bad gateway")), "hidden", "unreachable", None),
        (litellm.Answer(404, "<html>", asked=said(401, NO_KEY)), "hidden", "key refused", None),
        (litellm.Answer(401, NO_KEY), "claude-sonnet", "key refused", None),
        (litellm.Answer(400, NO_DB), "claude-sonnet", "key refused", None),
        (litellm.Answer(0, error="curl: (7) Failed to connect"), "claude-sonnet", "unreachable", None),
        (litellm.Answer(502, "<html>bad gateway</html>"), "claude-sonnet", "unreachable", None),
        (litellm.Answer(500, "Internal Server Error"), "claude-sonnet", "unreachable", None),
    ],
)
def test_the_proxy_is_judged(answer: litellm.Answer, model: str, standing: str, length: int | None) -> None:
    verdict = litellm.judge(answer, model)
    assert (verdict.standing, verdict.context_length) == (standing, length)
    assert bool(verdict.reason) == (standing != "fine")


@pytest.mark.parametrize(
    ("names", "model", "told"),
    [
        ([f"openai/gpt-{n}" for n in range(230)] + ["claude-sonnet-4-5"], "claude-sonnet-45", "claude-sonnet-4-5"),
        (["a", "b", "c"], "x", "it lists: a, b, c"),
        ([], "x", "it lists: none"),
    ],
)
def test_of_a_long_list_the_nearest_names_are_told(names: list[str], model: str, told: str) -> None:
    answer = litellm.Answer(200, json.dumps({"data": [{"id": name} for name in names]}))
    reason = litellm.judge(answer, model).reason
    assert told in reason and len(reason) < 200


@given(st.text("ab*/.[", max_size=12), st.text("ab/.[", max_size=12))
def test_a_pattern_stands_for_anything_in_the_place_of_its_stars(name: str, model: str) -> None:
    meant = re.fullmatch(".*".join(map(re.escape, name.split("*"))), model) is not None
    assert litellm.serves([name], model) == meant


def test_a_pattern_with_many_stars_takes_no_time() -> None:
    assert not litellm.serves(["*a" * 50_000 + "b"], "a" * 50_000)


def test_a_wildcards_context_is_the_models() -> None:
    info = {"data": [{"model_name": "openai/*", "model_info": {"max_input_tokens": 128_000}}]}
    answer = litellm.Answer(200, MODELS, json.dumps(info))
    assert litellm.judge(answer, "openai/gpt-x").context_length == 128_000


def test_the_smallest_deployments_context_counts() -> None:
    info = {"data": [{"model_name": "m", "model_info": {"max_input_tokens": n}} for n in (200_000, 100_000, None)]}
    answer = litellm.Answer(200, '{"data": [{"id": "m"}]}', json.dumps(info))
    assert litellm.judge(answer, "m").context_length == 100_000
