"""The lines of .env: plain ones, files of the operator's, secrets; and nothing that Hermes would read wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxhermes.errors import SecretError, UsageError
from proxhermes.hermes import environment
from proxhermes.hermes.environment import Environment
from proxhermes.redaction import redact

SECRET = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk-the-key")
    monkeypatch.setenv("TELEGRAM", "123:token")
    monkeypatch.setenv("OTHER", SECRET)


@pytest.fixture
def gathered(make_agent: Any, tmp_path: Path) -> Any:
    """The environment of an agent with these files (name -> text or bytes) and options of `hermes`."""

    def gather(files: dict[str, str] | None = None, *, reveal: bool = True, **hermes: Any) -> Environment:
        for name, text in (files or {}).items():
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o600)
        paths = [str(tmp_path / name) for name in files or {}]
        return environment.environment(make_agent(hermes={"environment_files": paths, **hermes}), reveal=reveal)

    return gather


def test_a_later_one_wins_and_a_duplicate_is_told(gathered: Any) -> None:
    found = gathered(
        {"a.env": "A=file\nB=file\nC=file\n", "b.env": "B=other\nC=other\n"},
        environment={"A": "plain", "B": "plain", "C": "plain", "D": "plain"},
        secrets={"C": {"env": "OTHER"}},
    )
    assert {name: found.lines[name] for name in "ABCD"} == {"A": "file", "B": "other", "C": SECRET, "D": "plain"}
    assert [sentence.replace(" and in ", " < ").split("/")[-1] for sentence in found.duplicates] == [
        "a.env:1; the latter wins",
        "a.env:2; the latter wins",
        "a.env:3; the latter wins",
        "b.env:1; the latter wins",
        "b.env:2; the latter wins",
        "b.env:2 < hermes.secrets; the latter wins",
    ]
    assert found.duplicates[0].startswith("A stands in hermes.environment and in ")
    assert found.secret == {"LITELLM_API_KEY", "A", "B", "C"}, "nobody knows what of a file may be seen"
    assert gathered({"a.env": "A=1\n"}, environment={"B": "2"}).duplicates == ()


def test_files_are_read_by_the_law_of_env(gathered: Any) -> None:
    text = "# comment\nexport A='x # y'\nB=\"one\\ntwo\"\nC='three\nfour'\nD=plain # remark\nE=\n"
    found = gathered({"a.env": text})
    assert {name: found.lines[name] for name in "ABCDE"} == {
        "A": "x # y", "B": "one\ntwo", "C": "three\nfour", "D": "plain", "E": "",
    }  # fmt: skip


def test_references_in_files_mean_what_came_before(gathered: Any) -> None:
    found = gathered(
        {"a.env": "A=${BASE}/a\nB=${A}/b\nC=${NOT_THERE:-none}\nD=a${:-$}{A}\n", "b.env": "E=${B}"},
        environment={"BASE": "/data"},
    )
    assert [found.lines[name] for name in "ABCDE"] == ["/data/a", "/data/a/b", "none", "a${A}", "/data/a/b"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A=1\nsome words\n", r"\.hermes\.environment_files\[0\]: .*/a\.env:2: this is not KEY=VALUE"),
        ("A=1\n\n\n'a b'=hunter2-hunter2\n", r"a\.env:4: this is not KEY=VALUE"),
        ("ALONE\n", r"a\.env:1: this is not KEY=VALUE"),
        ("A='hunter2-hunter2\n", r"a\.env:1: this is not KEY=VALUE"),
        ("A=1\nB=ab${hunter2-hunter2}cd\n", r"a\.env:2: B names a variable `\$\{…\}` that nothing defines"),
        ("LITELLM_API_KEY=hunter2-hunter2\n", r"a\.env:1: LITELLM_API_KEY is said elsewhere"),
        ("HERMES_HOME_MODE=0700\n", r"a\.env:1: HERMES_HOME_MODE is said elsewhere"),
        ("HERMES_UID=5\n", r"a\.env:1: HERMES_UID is said elsewhere"),
        ("TELEGRAM_ALLOWED_USERS=5\n", r"a\.env:1: TELEGRAM_ALLOWED_USERS is said elsewhere"),
        ("HERMES_DASHBOARD_HOST=0.0.0.0\n", r"a\.env:1: HERMES_DASHBOARD_HOST is said elsewhere"),
        ("API_SERVER_PORT=5\n", r"a\.env:1: API_SERVER_PORT is said elsewhere"),
        ("API_SERVER_ENABLED=false\n", "cannot be switched off"),
        ("MY_TOKEN=hunter2-hunter2é\n", "MY_TOKEN holds a character that is not ASCII"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_line(make_agent: Any, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.env").write_text(text)
    (tmp_path / "a.env").chmod(0o600)
    agent = make_agent(
        hermes={"environment_files": [str(tmp_path / "a.env")]},
        messaging={"telegram": {"token": {"env": "TELEGRAM"}, "allowed_users": 1}},
    )
    with pytest.raises(UsageError, match=words) as caught:
        environment.environment(agent)
    assert SECRET not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_the_section_to_use_is_told(make_agent: Any, tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("TELEGRAM_ALLOWED_USERS=5\n")
    telegram = {"token": {"env": "TELEGRAM"}, "allowed_users": 1}
    hermes = {"environment_files": [str(tmp_path / "a.env")]}
    with pytest.raises(UsageError) as caught:
        environment.environment(make_agent(hermes=hermes, messaging={"telegram": telegram}))
    assert caught.value.hint == "`messaging.telegram.allowed_users` in its place"
    del telegram["allowed_users"]  # the section says nothing of it, so a line may
    found = environment.environment(make_agent(hermes=hermes, messaging={"telegram": telegram}))
    assert found.lines["TELEGRAM_ALLOWED_USERS"] == "5"


def test_a_missing_file_is_an_error(make_agent: Any, tmp_path: Path) -> None:
    agent = make_agent(hermes={"environment_files": [str(tmp_path / "none.env")]})
    words = r"agents\.118\.hermes\.environment_files\[0\]: .*/none\.env: No such file"
    with pytest.raises(UsageError, match=words):
        environment.environment(agent)


def test_a_file_with_secrets_is_not_open_to_everybody(make_agent: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.env"
    agent = make_agent(hermes={"environment_files": [str(path)]})
    path.write_text("NAME=x\nEMPTY_TOKEN=\n")
    path.chmod(0o644)
    assert environment.environment(agent).lines["NAME"] == "x"
    path.write_text(f"NAME=x\nMY_API_KEY={SECRET}\n")
    with pytest.raises(SecretError, match=r"a\.env holds MY_API_KEY and can be read by everybody") as caught:
        environment.environment(agent)
    assert caught.value.hint == f"chmod 600 {path}"
    path.chmod(0o600)
    assert environment.environment(agent).lines["MY_API_KEY"] == SECRET
    assert redact(f"<{SECRET}>") == "<********>"


def test_a_secret_of_several_lines_is_a_line_of_env(gathered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER", "-----BEGIN-----\nx\n-----END-----\n")
    found = gathered(secrets={"DEPLOY_KEY": {"env": "OTHER"}})
    assert found.lines["DEPLOY_KEY"] == "-----BEGIN-----\nx\n-----END-----"


def test_the_dashboards_token_is_a_line_of_env_and_shown_to_nobody(
    gathered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER", "tok-123")
    found = gathered(secrets={"HERMES_DASHBOARD_SESSION_TOKEN": {"env": "OTHER"}})
    assert found.lines["HERMES_DASHBOARD_SESSION_TOKEN"] == "tok-123"
    assert "HERMES_DASHBOARD_SESSION_TOKEN" in found.secret


def test_a_key_of_litellms_is_one_line(gathered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "a\nb")
    with pytest.raises(SecretError, match="must be one line"):
        gathered()


def test_hermes_would_drop_what_is_not_ascii_from_a_key(gathered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER", "schlüssel-für-alles")
    with pytest.raises(UsageError, match="EXA_API_KEY holds a character that is not ASCII") as caught:
        gathered(secrets={"EXA_API_KEY": {"env": "OTHER"}})
    assert "schl" not in str(caught.value)
    assert gathered(secrets={"GREETING": {"env": "OTHER"}}).lines["GREETING"] == "schlüssel-für-alles"
    monkeypatch.setenv("LITELLM_API_KEY", "kéy")
    with pytest.raises(UsageError, match=r"litellm\.api_key: LITELLM_API_KEY holds a character that is not ASCII"):
        gathered()


def test_masked_it_asks_for_no_secret(gathered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LITELLM_API_KEY", "OTHER"):
        monkeypatch.delenv(name)
    found = gathered({"a.env": "A=b\n"}, reveal=False, environment={"P": "q"}, secrets={"S": {"env": "OTHER"}})
    assert {name: found.lines[name] for name in ("LITELLM_API_KEY", "A", "P", "S")} == {
        "LITELLM_API_KEY": "********", "A": "********", "P": "q", "S": "********",
    }  # fmt: skip


def test_nothing_that_prints_shows_a_value(gathered: Any) -> None:
    assert SECRET not in repr(gathered({"a.env": f"A={SECRET}\n"}, secrets={"S": {"env": "OTHER"}}))


@pytest.mark.parametrize("runtime", [{"ports": ["9119:9119"]}, {"network": "host"}])
@pytest.mark.parametrize("reveal", [True, False])
def test_an_open_dashboard_asks_who_is_there_whatever_the_files_say(
    make_agent: Any, tmp_path: Path, runtime: dict[str, Any], reveal: bool
) -> None:
    file = tmp_path / "a.env"
    file.touch(0o600)
    shown = {"HERMES_DASHBOARD": "1", "HERMES_DASHBOARD_HOST": "0.0.0.0"}
    hermes = {"environment": shown, "environment_files": [str(file)]}
    file.write_text("FOO=bar\nHERMES_DASHBOARD_BASIC_AUTH_USERNAME=me\n")
    with pytest.raises(UsageError, match="the dashboard would be open to everybody"):
        environment.environment(make_agent(runtime=runtime, hermes=hermes), reveal=reveal)
    environment.environment(make_agent(runtime={}, hermes=hermes), reveal=reveal)
    file.write_text(f"{file.read_text()}HERMES_DASHBOARD_BASIC_AUTH_PASSWORD={SECRET}\n")
    environment.environment(make_agent(runtime=runtime, hermes=hermes), reveal=reveal)


def test_the_home_is_said_by_the_runtimes_own_option(make_agent: Any, tmp_path: Path) -> None:
    (tmp_path / "h.env").write_text("HERMES_HOME=/x\n")
    for kind, option in (("docker", "hermes.data_dir"), ("native", "runtime.state_dir")):
        agent = make_agent(runtime={"type": kind}, hermes={"environment_files": [str(tmp_path / "h.env")]})
        with pytest.raises(UsageError) as caught:
            environment.environment(agent)
        assert caught.value.hint == f"`{option}` in its place"
