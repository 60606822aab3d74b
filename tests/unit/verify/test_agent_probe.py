"""The program that asks in the agent's place, run as it is there, beside what the agent has laid out for it."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import os
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dotenv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.hermes import env
from proxhermes.hermes.environment import API_KEY
from proxhermes.hermes.litellm import question
from proxhermes.hermes.route import rows
from proxhermes.hermes.settings import KEY_VARIABLE
from proxhermes.inventory.proxies import proxy_for
from proxhermes.transport.scripts import script
from proxhermes.verify.probe import Probe, Reply, read
from proxhermes.verify.scene import Answer

SCRIPTS = Path(__file__).parents[3] / "host_scripts"
KEY, API = "sk-of-the-agent-0123456789", "key-of-the-gateway"
MODELS = {"data": [{"id": "claude-sonnet"}, {"id": "openai/*"}]}
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)


@dataclass
class Web:
    """A server of a test's own: path -> (status, body), or what makes it of the request's headers and body."""

    pages: dict[str, Any]
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    port: int = 0


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Who hears no more than it wants hangs up."""


@pytest.fixture
def serve() -> Iterator[Callable[..., Web]]:
    servers: list[ThreadingHTTPServer] = []

    def start(pages: dict[str, Any], context: ssl.SSLContext | None = None) -> Web:
        web = Web(pages)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append((self.path, self.headers["Authorization"]))
                sent = self.rfile.read(int(self.headers["Content-Length"] or 0))
                page = web.pages.get(self.path, (404, "{}"))
                status, body, *more = page(self.headers, sent) if callable(page) else page
                data = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                for name, value in more:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        server = Server(("127.0.0.1", 0), Handler)
        servers.append(server)
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        web.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return web

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def keyed(headers: Any, _: bytes) -> tuple[Any, ...]:
    """LiteLLM's list of models, for who has the key."""
    if headers["Authorization"] == f"Bearer {KEY}":
        return 200, MODELS
    return (401, {"error": f"no: {headers['Authorization']}"}) if headers["Authorization"] else (401, "{}")


LITELLM = {"/v1/models": keyed}
GATEWAY = {"/health": (200, {"status": "ok", "version": "0.22.2"})}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".env").write_text(f"{KEY_VARIABLE}='{KEY}'\n{API_KEY}={API}\n")
    return tmp_path


def run(*argv: str, cwd: Path | None = None, **environment: str) -> tuple[int, str]:
    """As rt_exec does it. Its code, and what it printed."""
    words = [sys.executable, "-I", "-S", "-c", script("agent-probe.py").decode(), *argv]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def look(
    home: Path, port: int = 1, litellm: int = 1, model: str = "claude-sonnet", more: tuple[str, ...] = (), **others: Any
) -> Probe:
    code, told = run("look", str(home), str(port), f"http://127.0.0.1:{litellm}/v1", model, *more, **others)
    assert KEY not in told and API not in told and code == 0
    return read(Probe, Answer(told, "", 0))


def ask(home: Path, port: int, seconds: str = "30") -> tuple[int, Reply]:
    code, told = run("ask", str(home), str(port), seconds, "Reply with exactly: PROOF")
    return code, read(Reply, Answer(told, "", code))


def probe_module() -> Any:
    spec = importlib.util.spec_from_file_location("agent_probe", SCRIPTS / "agent-probe.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODULE = probe_module()


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.name)
def test_what_runs_in_the_agents_place_needs_the_standard_library_alone(path: Path) -> None:
    """Hermes 0.22 brings no PyYAML any more."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    if path.name == "config-probe.py":  # what Hermes itself reads, its own modules have to say
        found -= {"hermes_cli", "utils"}
    assert found <= sys.stdlib_module_names | {each.stem for each in SCRIPTS.glob("image_*.py")}


def test_all_is_well(home: Path, serve: Callable[..., Web]) -> None:
    found = look(home, serve(GATEWAY).port, serve(LITELLM).port)
    assert (found.gateway.status, found.gateway.version) == (200, "0.22.2")
    litellm = found.litellm
    assert (litellm.keyed, litellm.bare, litellm.has_key, litellm.asked) == (200, 401, True, None)
    assert (litellm.count, litellm.names) == (2, ["claude-sonnet", "openai/*"])


@pytest.mark.parametrize(
    ("model", "said", "standing"),
    [
        ("claude-sonnet", (500, "never asked"), "fine"),
        ("openai/gpt", (500, "down"), "fine"),  # by a pattern, however it answers just now
        ("team-sonnet", (200, {}), "fine"),
        ("gpt", (400, {"error": {"message": "Invalid model name passed in model=gpt"}}), "model unknown"),
        ("gpt", (503, {"error": {"message": "no upstream"}}), "doubtful"),
    ],
)
def test_a_model_that_is_not_listed_is_asked(
    home: Path, serve: Callable[..., Web], model: str, said: tuple[int, Any], standing: str
) -> None:
    bodies: list[Any] = []

    def answer(headers: Any, sent: bytes) -> tuple[int, Any]:
        assert headers["Authorization"] == f"Bearer {KEY}"
        bodies.append(json.loads(sent))
        return said

    port = serve({**LITELLM, "/v1/chat/completions": answer}).port
    assert look(home, litellm=port, model=model).litellm.verdict(model).standing == standing
    assert bodies == ([] if model == "claude-sonnet" else [json.loads(question(model))])


def test_a_key_that_may_call_and_not_list_is_not_refused(home: Path, serve: Callable[..., Web]) -> None:
    no = {"error": {"message": "Only allowed to call routes: ['/chat/completions']"}}
    port = serve({"/v1/models": (403, no), "/v1/chat/completions": (200, {})}).port
    assert look(home, litellm=port).litellm.verdict("claude-sonnet").standing == "fine"


def test_nobody_is_there(home: Path) -> None:
    found = look(home)
    assert (found.gateway.status, found.litellm.keyed, found.litellm.bare) == (0, 0, 0)
    assert "refused" in found.gateway.error and "refused" in found.litellm.verdict("m").reason


NAMES = st.sampled_from(["10.1.10.22", "litellm.lan", "a.litellm.lan", "xlitellm.lan", "2001:db8::5", "localhost"])
ENTRIES = st.sampled_from([
    "10.1.10.0/24", "10.1.10.22", "10.1.10.22:4000", "10.1.10.22:1", ".lan", "*.lan", "lan", "litellm.lan", "*", "",
    "LITELLM.LAN", "2001:db8::/32", "[2001:db8::5]", "localhost,127.0.0.1", "10.0.0.0/8", "litellm.lan:4000", "a b", "http://[",
])  # fmt: skip


@given(NAMES, st.lists(ENTRIES, max_size=4).map(",".join), st.booleans())
def test_the_way_is_judged_as_hermes_does_by_both_who_ask(host: str, no_proxy: str, ranges: bool) -> None:
    url = f"http://{f'[{host}]' if ':' in host else host}:4000/v1"
    lines = {"HTTP_PROXY": "http://proxy:1", "NO_PROXY": no_proxy}
    through = MODULE.proxy_for(url, lines, ranges)
    assert through == (proxy_for(url, lines, ranges=ranges) or "")
    if not ranges:  # 0.19: agent/process_bootstrap.py asks urllib
        with pytest.MonkeyPatch.context() as patched:
            for name in ("no_proxy", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
                patched.delenv(name, raising=False)
            patched.setenv("NO_PROXY", no_proxy)
            patched.setenv("HTTP_PROXY", "http://proxy:1")
            assert (through == "") == bool(urllib.request.proxy_bypass_environment(host))


@pytest.mark.parametrize(
    ("version", "no_proxy", "through"),
    [
        ("0.19.0", "127.0.0.0/8", True),
        ("0.22.2", "127.0.0.0/8", False),
        ("0.19.0", "127.0.0.1", False),
        ("dev", "x", True),
    ],
)
def test_it_asks_through_the_agents_own_proxy(
    home: Path, serve: Callable[..., Web], version: str, no_proxy: str, through: bool
) -> None:
    """A range in NO_PROXY is one to Hermes 0.22 alone."""
    gateway = serve({"/health": (200, {"status": "ok", "version": version})})
    litellm, proxy = serve(LITELLM), serve({})
    with (home / ".env").open("a") as lines:
        lines.write(f"HTTP_PROXY=http://127.0.0.1:{proxy.port}\nNO_PROXY={no_proxy}\n")
    found = look(home, gateway.port, litellm.port, more=("", rows())).litellm
    assert (found.keyed == 404, bool(proxy.asked), bool(litellm.asked)) == (through, through, not through)


def test_a_proxy_that_it_cannot_ask_through_is_told(home: Path) -> None:
    with (home / ".env").open("a") as lines:
        lines.write("ALL_PROXY=socks://127.0.0.1:1\n")
    assert "SOCKS" in look(home).litellm.unasked


@pytest.fixture
def certified(tmp_path: Path, serve: Callable[..., Web]) -> tuple[Web, Path]:
    """A LiteLLM whose certificate an authority of its own signed, and that one's certificate."""
    pem, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", pem, *subject]
    subprocess.run(words, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return serve(LITELLM, context), pem


@pytest.mark.parametrize(
    ("version", "line", "argument", "keyed"),
    [
        ("0.22.2", "", "", 0),
        ("0.22.2", "", "{pem}", 200),
        ("0.22.2", "SSL_CERT_FILE={pem}", "", 200),
        ("0.22.2", "HERMES_CA_BUNDLE={pem}", "", 0),
        ("0.19.0", "HERMES_CA_BUNDLE={pem}", "", 200),
        ("0.19.0", "HERMES_CA_BUNDLE=/nowhere", "", 0),
    ],
)
def test_it_trusts_whom_the_agent_trusts(
    home: Path,
    serve: Callable[..., Web],
    certified: tuple[Web, Path],
    version: str,
    line: str,
    argument: str,
    keyed: int,
) -> None:
    web, pem = certified
    with (home / ".env").open("a") as lines:
        lines.write(line.format(pem=pem) + "\n")
    gateway = serve({"/health": (200, {"status": "ok", "version": version})})
    more = ("look", str(home), str(gateway.port), f"https://127.0.0.1:{web.port}/v1", "claude-sonnet")
    code, told = run(*more, argument.format(pem=pem), rows())
    found = read(Probe, Answer(told, "", code)).litellm
    assert found.keyed == keyed
    assert keyed or "CERTIFICATE" in found.keyed_text.upper()


def test_a_key_that_is_refused_is_told_without_it(home: Path, serve: Callable[..., Web]) -> None:
    (home / ".env").write_text(f"{KEY_VARIABLE}={KEY}x\n")
    found = look(home, litellm=serve(LITELLM).port).litellm
    assert (found.keyed, found.keyed_text) == (401, '{"error": "no: Bearer ***"}')


@pytest.mark.parametrize("key", ["two\\nlines", "schlüssel-€"])
def test_a_key_that_no_header_can_carry_is_not_told_either(home: Path, serve: Callable[..., Web], key: str) -> None:
    (home / ".env").write_text(f'{KEY_VARIABLE}="{key}"\n')
    found = look(home, litellm=serve(LITELLM).port).litellm
    assert (found.keyed, found.keyed_text) == (0, "HTTP cannot carry this address or this key")


def test_the_key_goes_nowhere_else(home: Path, serve: Callable[..., Web]) -> None:
    other = serve({})
    away = (302, "", ("Location", f"http://127.0.0.1:{other.port}/v1/models"))
    assert look(home, litellm=serve({**LITELLM, "/v1/models": away}).port).litellm.keyed == 302
    assert other.asked == []


@pytest.mark.parametrize(
    "answer",
    ['{"data": [{"id": 1}, 2, null, {"id": {}}]}', '{"data": {"id": 1}}', "[" * 200_000, "\ud7ff", "[]", '"x"'],
    ids=["no text", "no list", "deep", "odd", "another", "a text"],
)
def test_what_litellm_lists_may_be_anything(home: Path, serve: Callable[..., Web], answer: str) -> None:
    assert look(home, litellm=serve({**LITELLM, "/v1/models": (200, answer)}).port).litellm.asked == 404


def test_what_it_tells_is_bounded_whatever_it_gets(home: Path, serve: Callable[..., Web]) -> None:
    huge = "x" * 6_000_000
    gateway = serve({"/health": (200, {"version": huge}), "/v1/chat/completions": (500, {"error": {"message": huge}})})
    many = {"data": [{"id": f"{n}{'y' * 500}"} for n in range(1000)]}
    litellm = {"/v1/chat/completions": (500, huge), "/v1/models": lambda *_: (200, many)}
    code, told = run("look", str(home), str(gateway.port), f"http://127.0.0.1:{serve(litellm).port}/v1", "m")
    assert code == 0 and len(told) < 10_000
    found = read(Probe, Answer(told, "", 0)).litellm
    assert (found.count, len(found.names), found.asked) == (1000, 20, 500)
    assert len(run("ask", str(home), str(gateway.port), "30", "x")[1]) < 3000


HOSTILE = "import os, sys\nos.write(1, b'HIJACKED')\nraise SystemExit(7)\n"


def test_nothing_of_the_agents_is_imported(home: Path, serve: Callable[..., Web], tmp_path: Path) -> None:
    """Its workspace is the working directory, and its home may have packages of its own."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folders = (tmp_path / "workspace", tmp_path / f".local/lib/python{version}/site-packages", tmp_path / "path")
    for folder in folders:
        folder.mkdir(parents=True)
        for name in ("json", "yaml", "pty", "os", "re", "urllib", "sitecustomize", "usercustomize"):
            (folder / f"{name}.py").write_text(HOSTILE)
        (folder / "evil.pth").write_text("import json\n")
    found = look(
        home, serve(GATEWAY).port, serve(LITELLM).port, cwd=folders[0],
        HOME=str(tmp_path), PYTHONPATH=str(folders[2]), PYTHONSTARTUP=str(folders[2] / "json.py"),
        PYTHONUSERBASE=str(tmp_path / ".local"),
    )  # fmt: skip
    assert found.litellm.keyed == 200


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "nothing", "binary"])
def test_only_a_plain_file_is_read(home: Path, serve: Callable[..., Web], kind: str, tmp_path: Path) -> None:
    path = home / ".env"
    path.rename(tmp_path / "elsewhere")
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe\0" * 1000)
    assert look(home, litellm=serve(LITELLM).port).litellm.has_key is False


def completion(content: Any = "PROOF", finish: str = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": finish}], **more}


def test_the_running_agent_is_asked_through_its_api(home: Path, serve: Callable[..., Web]) -> None:
    bodies: list[Any] = []

    def answer(headers: Any, sent: bytes) -> tuple[int, Any]:
        assert headers["Authorization"] == f"Bearer {API}"
        bodies.append(json.loads(sent))
        return 200, completion()

    assert ask(home, serve({"/v1/chat/completions": answer}).port) == (
        0, Reply(answered=True, status=200, text="PROOF", error="")
    )  # fmt: skip
    assert bodies == [{"messages": [{"role": "user", "content": "Reply with exactly: PROOF"}]}]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        # As Hermes 0.19 and 0.22 answer (gateway/platforms/api_server.py, api_server_openai_routes.py).
        (200, completion("API call failed", "error", hermes={"failed": True, "error": "No db"}), "No db"),
        (200, completion("half", "length", hermes={"failed": False, "partial": True}), "half"),
        (200, completion(finish="stop", hermes={"failed": True, "error": "gone"}), "gone"),
        (502, {"error": {"message": "No answer", "code": "agent_incomplete", "hermes": {"failed": True}}}, "No answer"),
        (401, {"error": {"message": "Invalid gateway API key (API_SERVER_KEY)"}}, "Invalid gateway API key"),
        (200, "<html>", "<html>"),
        (200, {"choices": [None]}, "choices"),
        (200, completion(["a list"], "error"), "choices"),
    ],
)  # fmt: skip
def test_what_is_no_answer(home: Path, serve: Callable[..., Web], status: int, body: Any, words: str) -> None:
    code, reply = ask(home, serve({"/v1/chat/completions": (status, body)}).port)
    assert (code, reply.answered, reply.status) == (1, False, status)
    assert words in reply.error


def test_an_answer_is_waited_for_as_long_as_was_said(home: Path, serve: Callable[..., Web]) -> None:
    over = threading.Event()

    def never(*_: Any) -> tuple[int, Any]:
        over.wait(30)
        return 200, completion()

    code, reply = ask(home, serve({"/v1/chat/completions": never}).port, "0.2")
    over.set()
    assert (code, reply.status, reply.error) == (1, 0, "timed out")


def by_dotenv(text: str) -> dict[str, str | None]:
    """As Hermes reads the file."""
    return dict(dotenv.dotenv_values(stream=io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")))


@given(st.dictionaries(st.sampled_from(["A", "B_1", "_C", KEY_VARIABLE, API_KEY]), TEXT, max_size=5), TEXT)
def test_it_reads_our_lines_as_python_dotenv_does(wanted: dict[str, str], before: str) -> None:
    written = "".join(env.assignment(key, value) for key, value in wanted.items())
    assert MODULE.variables(written) == by_dotenv(written) == wanted
    comment = "# " + before.replace("\n", " ").replace("\r", " ")
    assert MODULE.variables(f"{comment}\n\n{written}") == wanted


LINES = st.sampled_from([
    "A=1", "export B = 2", "'C'='x y'", 'D="a\\nb" # c', "E", "=", "F=", "H=#c", "I='open", "J=${A}-${Z:-z}",
    'K="${A}"', "L='\\''", "M=a #b", "# N=1", "", "  O=1", "P=1 2", 'Q="x"y', "A=again", "R=${J}", "S=${S}", "T='${B}'",
])  # fmt: skip


@given(st.lists(LINES, max_size=6).map("\n".join))
def test_it_reads_others_lines_as_python_dotenv_does(text: str) -> None:
    expected = {key: value for key, value in by_dotenv(text).items() if value is not None}
    assert MODULE.variables(text) == expected


def test_its_names_are_ours() -> None:
    assert (MODULE.LITELLM_KEY, MODULE.GATEWAY_KEY) == (KEY_VARIABLE, API_KEY)


JOBS = {"jobs": [{"id": "f8c9ee966f96", "name": "news", "origin": {"chat_id": 7}, "next_run_at": "soon"}, 7]}
LISTED = {"data": [{"name": "dice", "description": "Roll."}, {"name": 7}, "x"]}


def known(home: Path, port: int, *profiles: str) -> dict[str, Any]:
    code, told = run("known", str(home), str(port), *profiles)
    assert API not in told and code == 0
    return dict(json.loads(told))


def test_jobs_and_skills_are_those_of_the_gateway_that_runs(home: Path, serve: Callable[..., Web]) -> None:
    paths = {"/api/jobs?include_disabled=true": (200, JOBS), "/v1/skills": (200, LISTED)}
    web = serve(paths | {f"/p/work{path}": answer for path, answer in paths.items()})
    jobs = [{"id": "f8c9ee966f96", "name": "news", "next_run_at": "soon"}]
    one = {"jobs": jobs, "jobs_error": "", "skills": ["dice", ""], "skills_error": ""}
    (home / "profiles" / "work").mkdir(parents=True)
    (home / "profiles" / "work" / ".env").write_text(f"API_SERVER_KEY={API}-of-work\n")
    assert known(home, web.port, "default", "work") == {"default": one, "work": one}
    assert [key for _, key in web.asked] == [f"Bearer {API}"] * 2 + [f"Bearer {API}-of-work"] * 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((401, {"error": {"message": "Invalid gateway API key"}}), "Invalid gateway API key"),
        ((404, "no"), "HTTP 404"),
        ((200, {"jobs": 7}), "HTTP 200"),
        ((200, "[" * 99_999), "HTTP 200"),
    ],
)
def test_why_jobs_are_not_known(home: Path, serve: Callable[..., Web], answer: tuple[int, Any], why: str) -> None:
    web = serve({"/api/jobs?include_disabled=true": answer, "/v1/skills": (200, LISTED)})
    found = known(home, web.port, "default")["default"]
    assert (found["jobs"], found["jobs_error"], found["skills"]) == (None, why, ["dice", ""])
    assert "refused" in known(home, 1, "default")["default"]["jobs_error"]
