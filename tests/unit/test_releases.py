"""What differs between versions of Hermes."""

from __future__ import annotations

import pytest

from proxhermes import upstream


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("0.22.2", (0, 22, 2)),
        ("v0.19.0", (0, 19, 0)),
        ("0.22.2.post1", (0, 22, 2)),
        ("1.2", (1, 2)),
        ("latest", None),
        ("0.0.0", None),
        ("", None),
        ("12", None),
    ],
)
def test_a_version_is_read(text: str, version: tuple[int, ...] | None) -> None:
    assert upstream.parse(text) == version


@pytest.mark.parametrize(
    ("version", "since"),
    [
        ("0.18.3", (0, 19)),
        ("0.19.0", (0, 19)),
        ("0.21.4", (0, 21)),
        ("0.22.2.post1", (0, 22)),
        ("0.23.4", (0, 23)),
        ("9.0", (0, 23)),
        ("main", (0, 23)),
        (None, (0, 23)),
        ("0.0.0", (0, 23)),
    ],
)
def test_every_version_has_a_row(version: str | None, since: tuple[int, ...]) -> None:
    assert upstream.release(version).since == since


def test_a_newer_version_is_said_to_be_unknown() -> None:
    assert upstream.unknown("0.24.0")
    assert not upstream.unknown("0.23.4")
    assert not upstream.unknown("main")


def test_an_older_version_is_said_to_be_one() -> None:
    told = [upstream.older(each) for each in ("0.15.1", "0.18.9", "0.19", "0.19.0", "0.0.0", "main", "2026.8.31")]
    assert told == [True, True, False, False, False, False, False]


@pytest.mark.parametrize(
    ("version", "config", "python"),
    [("0.20.6", 39, ">=3.11,<3.14"), ("0.21.0", 39, ">=3.11,<3.14"), ("0.22.2", 50, ">=3.14,<3.15")],
)
def test_what_is_known_of_versions_that_were_not_run(version: str, config: int, python: str) -> None:
    row = upstream.release(version)
    assert (row.config_version, row.python) == (config, python)


@pytest.mark.parametrize(("config", "reader"), [(12, "pyyaml"), (33, "pyyaml"), (44, "pyyaml"), (50, "ruamel")])
def test_a_file_is_read_as_the_hermes_that_wrote_it_does(config: int, reader: str) -> None:
    assert upstream.reader_of(config) == reader


def test_versions_whose_log_may_be_orphaned() -> None:
    assert [upstream.orphans_wal(each) for each in ("0.20.9", "0.21.0", "0.21.2", "0.21.3")] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("agent", "seconds"),
    [
        ({}, 70),
        ({"restart_drain_timeout": 180}, 210),
        ({"cron_drain_timeout": 0}, 70),
        ({"cron_drain_timeout": 120}, 160),
        ({"cron_drain_timeout": "120"}, 160),
        ({"restart_drain_timeout": "soon", "cron_drain_timeout": None}, 70),
        ({"restart_drain_timeout": 90_000}, 86_430),
        ({"restart_drain_timeout": float("inf")}, 86_430),
        ({"restart_drain_timeout": float("nan")}, 70),
        ({"restart_drain_timeout": -5}, 70),
        ("nothing", 70),
    ],
)
def test_the_time_to_end_is_what_hermes_computes(agent: object, seconds: int) -> None:
    assert upstream.stop_seconds({"agent": agent}) == seconds


def test_what_the_installed_code_says_goes_before_the_table() -> None:
    assert upstream.Code("0.22.2", 51).newest_config == 51
    assert upstream.Code("0.22.2").newest_config == 50
