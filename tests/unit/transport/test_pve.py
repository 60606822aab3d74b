"""The token's door: what is sent, what is repeated, what an error says."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import requests
import responses
from conftest import SECRET
from responses import matchers

from proxhermes.errors import ApiError, AuthError, ConnectError, DeadlineExceeded, PermissionDenied, TaskFailed
from proxhermes.events import Event, Events, Kind
from proxhermes.inventory.models import Node
from proxhermes.transport import pve as pve_module
from proxhermes.transport.pve import Pve, clean

ROOT = "https://192.0.2.1:8006/api2/json"
CONFIG = f"{ROOT}/nodes/gihyeon/lxc/118/config"
UPID = "UPID:gihyeon:000065D0:0009D56E:6B00F2BD:vzstart:118:hermes@pve!proxhermes:"
TASK = f"{ROOT}/nodes/gihyeon/tasks/{UPID}"
LOCKED = "can't lock file '/run/lock/lxc/pve-config-118.lock' - got timeout\n"


@pytest.fixture
def pve(make_node: Callable[..., Node], events: Events, monkeypatch: pytest.MonkeyPatch) -> Pve:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    return Pve(make_node(), events, "gihyeon")


@pytest.fixture
def http() -> Any:
    with responses.RequestsMock() as mock:
        yield mock


def said(message: str, **errors: str) -> dict[str, Any]:
    return {"data": None, "message": message} | ({"errors": errors} if errors else {})


def test_a_call_carries_the_token_and_gives_the_data(pve: Pve, http: Any, heard: list[Event]) -> None:
    answer = http.get(f"{ROOT}/version", json={"data": {"version": "8.4.21"}})
    assert pve.get("/version") == {"version": "8.4.21"}
    sent = answer.calls[0].request
    assert sent.headers["Authorization"] == f"PVEAPIToken=hermes@pve!proxhermes={SECRET}"
    assert pve.calls == 1
    assert SECRET not in str(heard)


def test_parameters_are_a_form_and_booleans_are_numbers(pve: Pve, http: Any) -> None:
    http.put(
        CONFIG,
        json={"data": None},
        match=[matchers.urlencoded_params_matcher({"onboot": "1", "protection": "0", "cores": "2", "tags": "a;b"})],
    )
    assert (
        pve.put("/nodes/gihyeon/lxc/118/config", onboot=True, protection=False, cores=2, tags="a;b", pool=None) is None
    )


def test_deleting_has_its_parameters_in_the_query_and_no_body(pve: Pve, http: Any) -> None:
    answer = http.delete(f"{ROOT}/nodes/gihyeon/lxc/118", json={"data": UPID})
    assert pve.delete("/nodes/gihyeon/lxc/118", purge=True, force=False) == UPID
    request = answer.calls[0].request
    assert request.params == {"purge": "1", "force": "0"}
    assert not request.body


def test_a_parameter_may_be_called_path(pve: Pve, http: Any) -> None:
    http.get(f"{ROOT}/access/permissions", json={"data": {}}, match=[matchers.query_param_matcher({"path": "/vms"})])
    assert pve.get("/access/permissions", path="/vms") == {}


def test_an_error_has_proxmox_own_message(pve: Pve, http: Any) -> None:
    http.post(f"{ROOT}/nodes/gihyeon/lxc", status=500, json=said("CT 118 already exists on node 'gihyeon'\n"))
    with pytest.raises(ApiError) as caught:
        pve.post("/nodes/gihyeon/lxc", vmid=118)
    assert caught.value.message == "CT 118 already exists on node 'gihyeon'"
    assert caught.value.status == 500
    assert caught.value.doing == "asking https://192.0.2.1:8006: POST /nodes/gihyeon/lxc"
    assert pve.calls == 1


def test_wrong_parameters_are_named(pve: Pve, http: Any) -> None:
    body = said(
        "Parameter verification failed.\n", net0="invalid format - format error\nnet0.name: property is missing\n"
    )
    http.put(CONFIG, status=400, json=body)
    with pytest.raises(ApiError) as caught:
        pve.put("/nodes/gihyeon/lxc/118/config", net0="x")
    assert caught.value.errors == {"net0": "invalid format - format error; net0.name: property is missing"}
    assert "net0: invalid format" in caught.value.message


def test_a_missing_privilege_comes_with_the_lines_that_grant_it(pve: Pve, http: Any) -> None:
    http.get(CONFIG, status=403, json=said("Permission check failed (/vms/118, VM.Audit)\n"))
    with pytest.raises(PermissionDenied) as caught:
        pve.get("/nodes/gihyeon/lxc/118/config")
    assert caught.value.status == 403
    assert caught.value.hint is not None
    assert "pveum acl modify /vms/118 --roles Proxhermes --users hermes@pve --tokens 'hermes@pve!proxhermes'" in (
        caught.value.hint
    )


def test_a_wrong_token_is_an_error_of_its_own(pve: Pve, http: Any) -> None:
    http.get(CONFIG, status=401, json=said("Authentication failed!\n"))
    with pytest.raises(
        AuthError, match="gihyeon refused the token hermes@pve!proxhermes: Authentication failed!"
    ) as caught:
        pve.get("/nodes/gihyeon/lxc/118/config")
    assert caught.value.hint is not None and "pveum user token" in caught.value.hint
    assert SECRET not in f"{caught.value.__dict__}"
    assert pve.calls == 1


def test_an_answer_that_is_no_json_is_not_taken_for_data(pve: Pve, http: Any) -> None:
    http.get(f"{ROOT}/version", body="<html>router</html>")
    with pytest.raises(ConnectError, match="does not answer as Proxmox VE"):
        pve.get("/version")


def test_an_error_that_is_no_json_is_told_by_its_reason(pve: Pve, http: Any) -> None:
    http.post(f"{ROOT}/nodes/gihyeon/lxc", status=502, body="<html>")
    with pytest.raises(ApiError, match="Bad Gateway"):
        pve.post("/nodes/gihyeon/lxc")


@pytest.mark.parametrize("status", [502, 503, 595, 596])
def test_reading_is_repeated_after_a_passing_failure(pve: Pve, http: Any, heard: list[Event], status: int) -> None:
    http.get(CONFIG, status=status, json=said("connection timed out\n"))
    http.get(CONFIG, json={"data": {"cores": 2}})
    assert pve.get("/nodes/gihyeon/lxc/118/config") == {"cores": 2}
    assert pve.calls == 2
    assert [event.text for event in heard if event.kind is Kind.NOTE] == ["gihyeon: connection timed out; trying again"]


@pytest.mark.parametrize("status", [500, 501, 400, 404])
def test_reading_is_not_repeated_after_a_real_answer(pve: Pve, http: Any, status: int) -> None:
    http.get(CONFIG, status=status, json=said("Configuration file 'nodes/gihyeon/lxc/118.conf' does not exist\n"))
    with pytest.raises(ApiError):
        pve.get("/nodes/gihyeon/lxc/118/config")
    assert pve.calls == 1


@pytest.mark.parametrize(("status", "calls"), [(502, 1), (503, 1), (596, 1), (595, 2)])
def test_writing_is_repeated_only_if_nothing_was_sent(pve: Pve, http: Any, status: int, calls: int) -> None:
    http.post(f"{ROOT}/nodes/gihyeon/lxc", status=status, json=said("broke\n"))
    if calls == 2:
        http.post(f"{ROOT}/nodes/gihyeon/lxc", json={"data": UPID})
        assert pve.post("/nodes/gihyeon/lxc") == UPID
    else:
        with pytest.raises(ApiError, match="broke"):
            pve.post("/nodes/gihyeon/lxc")
    assert pve.calls == calls


def test_a_lock_that_was_not_had_is_waited_for_by_anything(pve: Pve, http: Any) -> None:
    http.put(CONFIG, status=500, json=said(LOCKED))
    http.put(CONFIG, status=500, json=said(LOCKED))
    http.put(CONFIG, json={"data": None})
    pve.put("/nodes/gihyeon/lxc/118/config", cores=2)
    assert pve.calls == 3


def test_a_lock_that_is_never_had_is_told(pve: Pve, http: Any) -> None:
    http.put(CONFIG, status=500, json=said(LOCKED))
    with pytest.raises(ApiError, match="can't lock file"):
        pve.put("/nodes/gihyeon/lxc/118/config", cores=2)
    assert pve.calls == pve_module.ATTEMPTS


def test_a_broken_connection_is_repeated_for_reading_only(pve: Pve, http: Any) -> None:
    http.get(f"{ROOT}/version", json={"data": {}})
    http.get(f"{ROOT}/version", body=requests.ConnectionError("Connection aborted"))
    http.get(f"{ROOT}/version", json={"data": {"again": 1}})
    http.put(CONFIG, body=requests.ConnectionError("Connection aborted"))
    pve.get("/version")
    assert pve.get("/version") == {"again": 1}
    with pytest.raises(ConnectError, match="the connection broke"):
        pve.put("/nodes/gihyeon/lxc/118/config", cores=2)
    assert pve.calls == 4


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (requests.ConnectTimeout(), "no connection within 10 s"),
        (requests.ReadTimeout(), "no answer within 90 s"),
        (requests.ConnectionError("NameResolutionError"), "the name '192.0.2.1' does not resolve"),
        (requests.ConnectionError("[Errno 111] Connection refused"), "the connection was refused"),
        (requests.ConnectionError("[Errno 113] No route to host"), "no route to host"),
        (requests.exceptions.ProxyError("x"), "the HTTP proxy failed"),
        (requests.TooManyRedirects("x"), "it redirects elsewhere"),
    ],
)
def test_a_node_that_was_never_reached_is_told_at_once(pve: Pve, http: Any, failure: Exception, told: str) -> None:
    http.get(f"{ROOT}/version", body=failure)
    with pytest.raises(ConnectError) as caught:
        pve.get("/version")
    assert caught.value.message == f"gihyeon was not reached at https://192.0.2.1:8006: {told}"
    assert caught.value.hint
    assert pve.calls == 1


def test_redirects_are_not_followed(pve: Pve, http: Any) -> None:
    http.get(f"{ROOT}/version", status=302, headers={"Location": "https://elsewhere.example/"})
    with pytest.raises(ConnectError, match="redirects elsewhere"):
        pve.get("/version")


def log(*lines: str, first: int = 1) -> dict[str, Any]:
    return {"data": [{"n": n, "t": line} for n, line in enumerate(lines, first)]}


def test_a_task_is_followed_to_its_end(pve: Pve, http: Any) -> None:
    http.get(f"{TASK}/status", json={"data": {"status": "running"}})
    http.get(f"{TASK}/log", json=log("no content"), match=[matchers.query_param_matcher({"start": 0, "limit": 500})])
    http.get(f"{TASK}/status", json={"data": {"status": "running"}})
    http.get(f"{TASK}/log", json=log("one"), match=[matchers.query_param_matcher({"start": 0, "limit": 500})])
    http.get(f"{TASK}/status", json={"data": {"status": "stopped", "exitstatus": "OK"}})
    http.get(
        f"{TASK}/log",
        json=log("two", "TASK OK", first=2),
        match=[matchers.query_param_matcher({"start": 1, "limit": 500})],
    )
    lines: list[str] = []
    end = pve.task(UPID, doing="starting container 118", timeout=30, on_line=lines.append)
    assert lines == ["one", "two", "TASK OK"] == list(end.log)
    assert end.warnings == ()


def test_warnings_are_no_failure(pve: Pve, http: Any) -> None:
    http.get(f"{TASK}/status", json={"data": {"status": "stopped", "exitstatus": "WARNINGS: 1"}})
    http.get(
        f"{TASK}/log", json=log("x", "WARN: Systemd 257 detected. You may need to enable nesting.", "TASK WARNINGS: 1")
    )
    end = pve.task(UPID, doing="creating", timeout=30)
    assert end.warnings == ("Systemd 257 detected. You may need to enable nesting.",)


def test_a_failed_task_is_an_error_with_its_log(pve: Pve, http: Any) -> None:
    http.get(f"{TASK}/status", json={"data": {"status": "stopped", "exitstatus": "bridge 'vmbr9' does not exist"}})
    http.get(f"{TASK}/log", json=log(*map(str, range(40)), "TASK ERROR: bridge 'vmbr9' does not exist"))
    with pytest.raises(TaskFailed, match="bridge 'vmbr9' does not exist") as caught:
        pve.task(UPID, doing="starting container 118", timeout=30)
    error = caught.value
    assert (error.upid, error.exitstatus, error.doing) == (
        UPID,
        "bridge 'vmbr9' does not exist",
        "starting container 118",
    )
    assert error.log[-1].startswith("TASK ERROR") and len(error.log) == 20


def test_a_task_that_does_not_end_is_left_with_word_of_it(pve: Pve, http: Any) -> None:
    http.get(f"{TASK}/status", json={"data": {"status": "running"}})
    http.get(f"{TASK}/log", json=log("still at it"))
    with pytest.raises(DeadlineExceeded, match="within 0 s") as caught:
        pve.task(UPID, doing="starting container 118", timeout=0)
    assert caught.value.log == ("still at it",)
    assert caught.value.answer == UPID


def test_a_long_log_is_read_in_pages(pve: Pve, http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pve_module, "_LOG_PAGE", 2)
    http.get(f"{TASK}/status", json={"data": {"status": "stopped", "exitstatus": "OK"}})
    for start, page in ((0, log("a", "b")), (2, log("c", first=3))):
        http.get(f"{TASK}/log", json=page, match=[matchers.query_param_matcher({"start": start, "limit": 2})])
    assert pve.task(UPID, doing="creating", timeout=30).log == ("a", "b", "c")


def test_importing_proxmoxer_left_the_warnings_on() -> None:
    from urllib3.exceptions import InsecureRequestWarning

    with pytest.warns(InsecureRequestWarning):
        warnings.warn("seen", InsecureRequestWarning, stacklevel=1)


def test_clean() -> None:
    path = " at /usr/share/perl5/PVE/Storage.pm line 581.\n"
    assert (
        clean("Only root can pass arbitrary filesystem paths." + path)
        == "Only root can pass arbitrary filesystem paths."
    )
    assert clean("a\nb\n") == "a; b"
