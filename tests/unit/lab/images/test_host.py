from __future__ import annotations

from pathlib import Path

import pytest

from proxhermes.lab.images.host import DEBIAN_FRONT, Mirror, debian_mirror, extra_authorities, pip_environment


def apt(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("files", "mirror"),
    [
        pytest.param(
            {"sources.list": "deb [signed-by=/k] http://ftp.example/debian/ bookworm main contrib\n"
                             "deb http://ftp.example/debian-security bookworm-security main # comment\n"},
            Mirror("http://ftp.example/debian", "http://ftp.example/debian-security"),
            id="one-line",
        ),
        pytest.param(
            {"sources.list.d/debian.sources": "Types: deb deb-src\n# a comment: here\nURIs: http://m.example/debian\n"
                                              "Suites: trixie trixie-updates\nComponents: main\n\n"
                                              "Types: deb\nURIs: http://s.example/sec\nSuites: trixie-security\n"
                                              "Components: main\n"},
            Mirror("http://m.example/debian", "http://s.example/sec"),
            id="deb822",
        ),
        pytest.param(
            {"sources.list": "deb cdrom:[Debian]/ bookworm main\n",
             "sources.list.d/cloud.list": "deb https://packages.example/apt cloud-sdk-bookworm main\n"},
            DEBIAN_FRONT,
            id="only-a-medium-and-a-stranger",
        ),
        pytest.param({}, DEBIAN_FRONT, id="nothing"),
    ],
)  # fmt: skip
def test_the_mirror_is_the_one_that_apt_uses(tmp_path: Path, files: dict[str, str], mirror: Mirror) -> None:
    assert debian_mirror(apt(tmp_path, files)) == mirror


def pem(text: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----"


def test_only_authorities_that_debian_does_not_ship_are_extra(tmp_path: Path) -> None:
    shipped = tmp_path / "shipped" / "mozilla"
    shipped.mkdir(parents=True)
    (shipped / "a.crt").write_text(pem("AAA") + "\n")
    bundle = tmp_path / "bundle.crt"
    bundle.write_text(f"{pem('AAA')}\n{pem('MINE')}\n")
    assert extra_authorities(bundle, tmp_path / "shipped") == (pem("MINE"),)
    assert extra_authorities(tmp_path / "absent", shipped) == ()


def test_pip_in_a_guest_gets_the_index_but_no_folder_of_this_machine(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://pip.example/simple\nextra-index-url = file:///opt/x https://b.example\n"
    )
    assert pip_environment({}, [config]) == {
        "PIP_INDEX_URL": "https://pip.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://b.example",
    }
    assert pip_environment({"PIP_INDEX_URL": "https://env.example"}, []) == {"PIP_INDEX_URL": "https://env.example"}
