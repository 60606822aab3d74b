from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from proxhermes.lab.images.cache import BuildError, Cache, Workbench
from proxhermes.lab.node.process import start_time, wait_until


class Builder:
    def __init__(self, text: str = "made", pause: float = 0.0) -> None:
        self.calls = 0
        self.text = text
        self.pause = pause

    def __call__(self, bench: Workbench) -> Path:
        self.calls += 1
        time.sleep(self.pause)
        assert not list(bench.scratch.iterdir())
        made = bench.scratch / "thing"
        made.write_text(self.text)
        return made


def say(_: str) -> None:
    return


def test_built_once_and_again_only_for_another_recipe(tmp_path: Path) -> None:
    cache, product, build = Cache(tmp_path), tmp_path / "out" / "thing", Builder()
    for recipe in (["a"], ["a"], ["b"]):
        assert cache.ensure("thing", product, recipe, build, say).read_text() == "made"
    assert build.calls == 2


def test_a_lost_product_is_built_again(tmp_path: Path) -> None:
    cache, product, build = Cache(tmp_path), tmp_path / "thing", Builder()
    cache.ensure("thing", product, 1, build, say)
    product.unlink()
    cache.ensure("thing", product, 1, build, say)
    assert build.calls == 2


def test_two_who_ask_at_once_build_once(tmp_path: Path) -> None:
    build = Builder(pause=0.1)
    asking = [
        threading.Thread(target=Cache(tmp_path).ensure, args=("thing", tmp_path / "thing", 1, build, say))
        for _ in range(3)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert build.calls == 1


def test_a_failed_build_leaves_the_former_product_and_is_tried_again(tmp_path: Path) -> None:
    cache, product = Cache(tmp_path), tmp_path / "thing"
    cache.ensure("thing", product, 1, Builder("old"), say)

    def fail(bench: Workbench) -> Path:
        (bench.scratch / "debris").touch()
        bench.run(["sh", "-c", "echo what went wrong; exit 3"])
        raise AssertionError

    with pytest.raises(BuildError, match=r"sh ended with 3:\nwhat went wrong"):
        cache.ensure("thing", product, 2, fail, say)
    assert product.read_text() == "old"
    assert not cache.is_fresh("thing", product, 2)
    assert cache.ensure("thing", product, 2, Builder("new"), say).read_text() == "new"


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    def build(bench: Workbench) -> Path:
        folder = bench.scratch / "folder"
        folder.mkdir()
        (folder / "file").touch()
        return folder

    cache = Cache(tmp_path)
    for recipe in (1, 2):
        made = cache.ensure("folder", tmp_path / "folder", recipe, build, say)
        assert [path.name for path in made.iterdir()] == ["file"]


def test_a_command_gets_the_environment_it_is_given_and_it_is_not_logged(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        bench = Workbench(tmp_path, log, say)
        out = tmp_path / "out"
        bench.run(["sh", "-c", f"env >{out}"], env={"PATH": "/usr/bin:/bin", "INDEX": "https://user:pw@host"})
    assert "INDEX=https://user:pw@host" in out.read_text()
    assert "HOME=" not in out.read_text()
    assert "user:pw" not in (tmp_path / "log").read_text()


def test_a_killed_build_leaves_nobody_at_work(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from proxhermes.lab.images.cache import Workbench\n"
        "folder = Path(sys.argv[1])\n"
        "with (folder / 'log').open('wb') as log:\n"
        "    words = ['sh', '-c', 'echo $$ >pid.new; mv pid.new pid; exec sleep 60']\n"
        "    Workbench(folder, log, print).run(words, cwd=folder)\n"
    )
    pid = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", code, tmp_path]) as build:
        wait_until(pid.exists, "the command at work", seconds=10)
        build.kill()
    at_work = int(pid.read_text())
    wait_until(lambda: start_time(at_work) is None, "the command ended", seconds=5)
