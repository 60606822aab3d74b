"""The way to LiteLLM: proxies and authorities as Hermes reads them, in what curl and config.yaml get."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from guest_bundle import lay_out, run

from proxhermes import upstream
from proxhermes.errors import UsageError
from proxhermes.facts.guest import parse
from proxhermes.hermes import litellm, route, settings
from proxhermes.hermes.wanted import gather

OLD, NEW = (upstream.release(version).reading for version in ("0.19.0", "0.23.4"))
PROXY = "http://joe:pw@10.1.10.1:3999"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk-the-key")


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-out", str(path)]
    subprocess.run([*words, "-subj", "/CN=lab", "-days", "2"], check=True, capture_output=True)
    return path


def with_lines(make_agent: Callable[..., Any], **lines: str) -> Any:
    return make_agent(hermes={"environment": lines})


@pytest.mark.parametrize(
    ("no_proxy", "old", "new"),
    [
        ("10.1.10.0/24", PROXY, None),
        ("10.1.10.22", None, None),
        ("10.1.10.22:4000", PROXY, None),
        ("lan", PROXY, PROXY),
    ],
)
def test_a_range_goes_past_the_proxy_for_a_newer_hermes_alone(
    make_agent: Any, no_proxy: str, old: str | None, new: str | None
) -> None:
    agent = with_lines(make_agent, HTTP_PROXY=PROXY, NO_PROXY=no_proxy)
    assert [route.route(agent, gather(agent), each).proxy for each in (OLD, NEW)] == [old, new]


def test_the_first_variable_that_is_set_counts_whatever_its_scheme(make_agent: Any) -> None:
    agent = with_lines(make_agent, https_proxy="http://10.1.10.2:1", ALL_PROXY="socks://10.1.10.1:1", HTTPS_PROXY=" ")
    assert route.route(agent, gather(agent), NEW).proxy == "socks5://10.1.10.1:1"


def test_what_the_compose_service_has_is_a_line_too(make_agent: Any) -> None:
    agent = make_agent(runtime={"compose_override": {"environment": {"HTTP_PROXY": "http://10.1.10.2:1"}}})
    assert route.route(agent, gather(agent), NEW).proxy == "http://10.1.10.2:1"


def test_curl_gets_the_key_and_the_way_in_a_file(make_agent: Any, pem: Path) -> None:
    given = make_agent().litellm.model_dump(exclude_none=True)
    agent = make_agent(litellm={**given, "ca_file": str(pem)}, hermes={"environment": {"HTTPS_PROXY": PROXY}})
    files = route.bundle(agent, 'sk-"x"', route.route(agent, gather(agent), NEW))
    assert files["litellm.curl"] == (
        b'header = "Authorization: Bearer sk-\\"x\\""\nproxy = "%b"\nnoproxy = ""\ncacert = "litellm-ca.pem"\n'
        % PROXY.encode(),
        0o600,
    )
    assert files["litellm-ca.pem"] == (pem.read_bytes(), 0o600)
    assert json.loads(files["litellm.ask.0"][0])["max_tokens"] == 1


def test_a_private_authority_is_a_file_of_the_home_and_hermes_own_setting(make_agent: Any, pem: Path) -> None:
    given = make_agent().litellm.model_dump(exclude_none=True)
    agent = make_agent(litellm={**given, "base_url": "https://gw.lan/v1", "ca_file": str(pem)})
    (file,) = gather(agent).files
    assert (file.place, file.path, file.content, file.effective) == ("home", "litellm-ca.pem", pem.read_bytes(), False)
    assert settings.declared(agent)["providers"] == {
        "litellm": {
            "base_url": "https://gw.lan/v1", "key_env": "LITELLM_API_KEY", "ssl_ca_cert": "/opt/data/litellm-ca.pem"
        }
    }  # fmt: skip


def test_hermes_own_remedy_is_seen_as_well(make_agent: Any, pem: Path) -> None:
    agent = make_agent(
        hermes={
            "home_files": {"tls/ca.pem": {"file": str(pem)}},
            "environment": {"HERMES_CA_BUNDLE": "/opt/data/tls/ca.pem"},
        }
    )
    found = [route.route(agent, gather(agent), each).authorities for each in (OLD, NEW)]
    assert found == [pem.read_bytes(), None]


@pytest.mark.parametrize(
    "content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----"]
)
def test_a_ca_file_without_certificates_is_refused(make_agent: Any, tmp_path: Path, content: str) -> None:
    (tmp_path / "ca.pem").write_text(content)
    given = make_agent().litellm.model_dump(exclude_none=True)
    with pytest.raises(UsageError, match=r"litellm\.ca_file: .*holds no certificates"):
        gather(make_agent(litellm={**given, "ca_file": str(tmp_path / "ca.pem")}))


@pytest.fixture
def server() -> Iterator[tuple[int, dict[str, tuple[int, str]], list[str]]]:
    """A LiteLLM of pages: its port, path -> (status, body), and what it was asked."""
    pages: dict[str, tuple[int, str]] = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            asked.append(self.path)
            status, body = pages.get(self.path, (404, "{}"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, args=(0.05,), daemon=True).start()
    yield web.server_port, pages, asked
    web.shutdown()
    web.server_close()


LISTED = '{"object": "list", "data": [ {"id" : "team one", "max_input_tokens": 9}, {"id":"gpt"} ]}'


@pytest.mark.parametrize(
    ("models", "said", "model", "status", "asked"),
    [
        ((200, LISTED), (500, "never"), "team one", 200, None),
        ((200, LISTED), (200, "{}"), "hidden", 200, 200),
        ((403, "{}"), (200, "{}"), "gpt", 403, 200),
        ((200, LISTED), (400, "x" * 5000), "hidden", 200, 400),
    ],
)
def test_the_guest_asks_the_model_that_is_not_listed(
    tmp_path: Path, server: Any, make_agent: Any, models: Any, said: Any, model: str, status: int, asked: int | None
) -> None:
    port, pages, seen = server
    pages |= {"/v1/models": models, "/v1/chat/completions": said}
    bundle = lay_out(tmp_path / "bundle", tmp_path / "project", docker="exit 1")
    with (bundle / "agent.sh").open("a") as names:
        names.write(f"litellm=http://127.0.0.1:{port}/v1\n")
    agent = make_agent(litellm={**make_agent().litellm.model_dump(exclude_none=True), "model": model})
    for name, (content, _) in route.bundle(agent, "sk-x", route.Route()).items():
        (bundle / name).write_bytes(content)
    done = run(bundle, "guest-facts.sh")
    assert done.stdout.endswith("facts=complete\n"), done.stderr
    answer = parse(done.stdout, route.models(agent)).litellm
    assert answer is not None and answer.status == status
    assert {name: each.status for name, each in answer.asked.items()} == ({model: asked} if asked else {})
    assert all(len(each.said) <= 2000 for each in answer.asked.values())
    assert litellm.judge(answer, model).standing == ("fine" if asked in (None, 200) else "doubtful")
    assert ("/v1/chat/completions" in seen) == (asked is not None)
