"""Secrets: looked up when needed, masked however they are printed, and never repeated by a message."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from proxhermes.errors import SecretError
from proxhermes.inventory import load, lookup
from proxhermes.inventory.problems import InventoryError
from proxhermes.inventory.secrets import MASK, Secret, SecretRef, SecretSource
from proxhermes.redaction import redact

# Words that no message of ours holds by chance.
LITERALS = st.from_regex(
    r"[A-Za-z0-9+/=_!&*%@`{}\[\]:#.|>'\"-]{0,12}zQ7[A-Za-z0-9]{5}[A-Za-z0-9+/=_.-]{0,8}", fullmatch=True
)
NEEDLE = "zQ7"


def source(folder: Path, **environ: str) -> SecretSource:
    return SecretSource(folder, {"PATH": "/usr/bin:/bin", **environ})


def reference(where: SecretSource, **ways: object) -> SecretRef:
    return SecretRef.model_validate(ways, context=where)


@given(st.text(min_size=1).filter(lambda text: text not in MASK))
def test_a_secret_is_masked_however_it_is_printed(value):
    secret = Secret(value)
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>40}", f"{secret:>40}", "%s %r" % (secret, secret)]  # noqa: UP031
    shown += [repr([secret]), repr({"a": secret}), repr(Exception(secret)), str(ValueError(secret))]
    rest = "".join(shown)
    for ours in ("Secret", "Exception", "ValueError", "'a'", MASK):
        rest = rest.replace(ours, "")
    assert set(rest) <= set("()[]{}: ")
    assert secret.reveal() == value
    assert secret == Secret(value)
    assert secret != Secret(value + "x")


def test_a_secret_is_not_written_anywhere(caplog):
    secret = Secret("hunter2-hunter2")
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
    assert not hasattr(secret, "__dict__")
    logging.getLogger("x").warning("it is %s", secret)
    assert "hunter2" not in caplog.text


def test_the_three_ways(tmp_path):
    (tmp_path / "key").write_text("from-the-file\r\n")
    (tmp_path / "key").chmod(0o600)
    where = source(tmp_path, TOKEN="from-the-environment")
    assert reference(where, env="TOKEN").resolve().reveal() == "from-the-environment"
    assert reference(where, file="key").resolve().reveal() == "from-the-file"
    assert reference(where, file=str(tmp_path / "key")).resolve().reveal() == "from-the-file"
    printed = reference(where, command=["sh", "-c", 'echo "$TOKEN; $0"', "$(a b)"]).resolve()
    assert printed.reveal() == "from-the-environment; $(a b)", "arguments reach the program as they are"


def test_a_reference_is_looked_up_when_needed_and_once(tmp_path, read, smallest):
    marker = tmp_path / "ran"
    command = f"command: [sh, -c, 'echo ran >> {marker}; echo a-secret']"
    text = smallest.replace("env: LITELLM_API_KEY", command)
    text += "  119: {hostname: two, node: gihyeon, network: {bridge: intra01}}\n"
    inventory = read(text, {"PATH": "/usr/bin:/bin"})
    assert not marker.exists()
    for _ in range(2):
        for agent in inventory.agents.values():
            assert agent.litellm.api_key.resolve().reveal() == "a-secret"
    assert marker.read_text() == "ran\n"


def test_a_resolved_secret_is_masked_in_what_is_shown(tmp_path):
    reference(source(tmp_path, X="unlikely-value-8831"), env="X").resolve()
    assert redact("key=unlikely-value-8831;") == "key=********;"


def test_the_terraform_providers_variable_gives_its_secret_part(tmp_path):
    where = source(tmp_path, PROXMOX_VE_API_TOKEN="u@pve!name=the=secret")
    assert reference(where, env="PROXMOX_VE_API_TOKEN").resolve().reveal() == "the=secret"


@pytest.mark.parametrize(
    ("ways", "words"),
    [
        ({"env": "MISSING"}, "environment variable MISSING is not set"),
        ({"env": "EMPTY"}, "{env: EMPTY} is empty"),
        ({"env": "LINES"}, "{env: LINES} holds a line break"),
        ({"env": "BYTES"}, "{env: BYTES} is not text in UTF-8"),
        ({"file": "missing"}, "missing cannot be read: No such file"),
        ({"file": "open"}, "open can be read by everybody"),
        ({"file": "."}, "cannot be read"),
        ({"file": "pipe"}, "pipe is not a plain file"),
        ({"file": "binary"}, "binary is not text"),
        ({"file": "empty"}, "{file: empty} is empty"),
        ({"command": ["/nonexistent/program"]}, "`/nonexistent/program` cannot be run"),
        ({"command": ["sh", "-c", "cat value; cat value >&2; exit 3"]}, "ended with code 3"),
        ({"command": ["true"]}, "is empty"),
    ],
)
def test_a_failed_look_up_names_the_reference_and_no_value(tmp_path, ways, words, capfd):
    for name, content in {"open": b"hunter2", "binary": b"\xffhunter2", "empty": b"\n", "value": b"hunter2"}.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o644 if name == "open" else 0o600)
    os.mkfifo(tmp_path / "pipe")
    where = source(tmp_path, EMPTY=" ", LINES="hunter2\nhunter2", BYTES=os.fsdecode(b"hunter2\xff"))
    with pytest.raises(SecretError) as caught:
        reference(where, **ways).resolve()
    assert words in str(caught.value)
    assert caught.value.exit_code == 2
    assert "hunter2" not in str(caught.value) + str(caught.value.hint) + str(caught.value.__cause__)
    assert "hunter2" not in "".join(capfd.readouterr())


def test_a_byte_order_mark_is_no_part_of_a_secret(tmp_path):
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbfhunter2\r\n")
    (tmp_path / "marked").chmod(0o600)
    assert reference(source(tmp_path), file="marked").resolve().reveal() == "hunter2"


def test_a_secret_command_has_a_deadline(tmp_path, monkeypatch):
    monkeypatch.setattr(lookup, "COMMAND_DEADLINE_S", 0.2)
    with pytest.raises(SecretError, match=r"did not end within 0\.2 s"):
        reference(source(tmp_path), command=["sleep", "30"]).resolve()


def test_a_secret_command_does_not_wait_for_input(tmp_path):
    assert reference(source(tmp_path), command=["sh", "-c", "cat; echo no-input"]).resolve().reveal() == "no-input"


@pytest.mark.parametrize(
    "written",
    ["{}", "{env: A, file: b}", "{env: null}", "{command: []}", "{command: x}", "{env: 'A B'}", "[A]", "null", "5"],
)
def test_what_is_no_reference(problems, smallest, written):
    found = problems(smallest.replace("{env: LITELLM_API_KEY}", written))
    assert all(problem.path.startswith("litellm.api_key") for problem in found)
    assert found[0].line == 9


# --- no message repeats what was written where a secret belongs ---------------------------------------------------

PLACES = [
    "nodes: {{n: {{api: 'https://h:8006', token: u@pve!tok, token_secret: {} }}}}\n",
    "nodes: {{n: {{api: 'https://h:8006', token: {}, token_secret: {{env: A}} }}}}\n",
    "nodes:\n  n:\n    token_secret: {}\n",
    "litellm: {{base_url: 'http://h', model: m, api_key: {} }}\nagents: {{118: {{hostname: h}}}}\n",
    "litellm:\n  api_key: {}\nagents: {{118: {{hostname: h}}}}\n",
    "defaults:\n  messaging: {{telegram: {{token: {} }}}}\n",
    "agents:\n  118:\n    hermes:\n      secrets: {{A_B: {} }}\n",
    "agents:\n  118:\n    hermes:\n      secrets:\n        A_B: {}\n",
    "agents:\n  118:\n    hermes:\n      environment:\n        A_TOKEN: {}\n",
    "agents:\n  118:\n    hermes:\n      settings:\n        x: [{{api_key: {} }}]\n",
    "agents:\n  118:\n    hermes:\n      secrets:\n        A_B: {{env: {} }}\n",
    "litellm: {{base_url: 'http://user:{}@h/v1', model: m, api_key: {{env: A}} }}\nagents: {{118: }}\n",
]


@pytest.mark.parametrize("text", PLACES)
@example("0/" + NEEDLE + "00000", "{}")  # a port, to a parser of URLs
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    LITERALS,
    st.sampled_from(["{}", '"{}"', "'{}'", "[{}]", "{{ {} }}", "{{{{ {} }}}}", "! {}"]),
)
def test_no_message_repeats_a_literal_secret(tmp_path, text, literal, form):
    written = ("version: 1\n" if "nodes" not in text else "") + text.format(form.format(literal))
    path = tmp_path / "i.yaml"
    path.write_text(written)
    try:
        load(path, {})
    except InventoryError as error:
        told = "\n".join([str(error), repr(error.problems), json.dumps([p.as_json() for p in error.problems])])
        assert NEEDLE not in told
    else:
        # Only a name that could be a variable's, in the one place where such a name belongs, is no mistake.
        assume(False)


# Put together here, so that no scanner of this repository takes them for real ones.
FILLING = "a1B2c3D4" * 5
SHAPES = {
    "OpenAI": "sk-proj-" + FILLING,
    "LiteLLM": "sk-" + FILLING,
    "Slack bot": "xoxb-" + "1234567890-" + FILLING,
    "Slack app": "xapp-" + "1-A0-" + FILLING,
    "Telegram": "123456789:" + FILLING[:35],
    "Proxmox": "hermes@pve!proxhermes=" + "01234567-89ab-cdef-0123-456789abcdef",
    "GitHub": "ghp_" + FILLING[:36],
    "private key": "-----BEGIN OPENSSH " + "PRIVATE KEY-----" + FILLING,
}


@pytest.mark.parametrize("literal", SHAPES.values(), ids=SHAPES)
def test_a_secret_is_known_by_its_shape_wherever_it_stands(problems, smallest, literal):
    text = smallest + f"    hermes: {{environment: {{HARMLESS: '{literal}'}}}}\n"
    (problem,) = problems(text)
    assert problem.path == "agents.118.hermes.environment.HARMLESS"
    assert literal not in str(problem)
    assert "{env: NAME}" in problem.allowed


@pytest.mark.parametrize(
    "name",
    [
        "FOO_TOKEN",
        "API_KEY",
        "openai_api_key",
        "DB_PASSWORD",
        "SECRET",
        "x-auth-key",
        "A_PASS",
        "DB_PWD",
        "CREDENTIALS",
        "GITHUB_PAT",
        "server_key",
    ],
)
def test_a_secret_is_known_by_its_name(problems, smallest, name):
    (problem,) = problems(smallest + f"    hermes: {{settings: {{deep: [{{{name}: hunter2}}]}}}}\n")
    assert problem.path == f"agents.118.hermes.settings.deep[0].{name}"
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    "name", ["PWD", "PATH", "API_KEY_FILE", "BYPASS", "COMPASS", "GOOGLE_APPLICATION_CREDENTIALS", "MAX_TOKENS"]
)
def test_what_only_looks_like_a_secrets_name(read, smallest, name):
    assert read(smallest + f"    hermes: {{environment: {{{name}: /a/path}}}}\n").agents[118].hermes.environment[name]


def test_a_login_that_nobody_gives_cannot_take_anothers_place(read, smallest):
    (warning,) = read(smallest + "    hermes: {auth_file_force_overwrite: true}\n").warnings
    assert warning.path == "agents.118.hermes.auth_file_force_overwrite"
    assert read(smallest + "    hermes: {auth_file_force_overwrite: true, auth_file: {env: A}}\n").warnings == ()


def test_settings_may_name_a_line_of_env(read, smallest):
    agent = read(
        smallest + '    hermes: {settings: {x: {api_key: "${MY_KEY}", key_env: MY_KEY, max_tokens: 5}}}\n'
    ).agents[118]
    assert agent.hermes.settings["x"] == {"api_key": "${MY_KEY}", "key_env": "MY_KEY", "max_tokens": 5}


def test_references_are_what_is_printed_of_an_agent(read, monkeypatch):
    monkeypatch.setenv("LITELLM_API_KEY", "hunter2-hunter2")
    agent = read(environ={"LITELLM_API_KEY": "hunter2-hunter2"}).agents[118]
    agent.litellm.api_key.resolve()
    assert "hunter2" not in repr(agent) + str(agent) + agent.model_dump_json() + repr(vars(agent.litellm))
