"""What the recordings do not show of the node's core: its files, tasks, storages and downloads."""

from __future__ import annotations

import functools
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fake_runtime import FakeRuntime
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.lab.pve import access, config, download
from proxhermes.lab.pve.errors import PveError, TaskFailed
from proxhermes.lab.pve.identity import ROOT, Identity
from proxhermes.lab.pve.node import Node
from proxhermes.lab.pve.rights import Rights
from proxhermes.lab.pve.runtime import IdMap
from proxhermes.lab.pve.site import Limits, Site
from proxhermes.lab.pve.storage import format_size, parse_size
from proxhermes.lab.pve.tasks import parse_upid

STORAGE = """\
dir: local
	path /var/lib/vz
	content iso,vztmpl,backup

lvmthin: local-lvm
	thinpool data
	vgname pve
	content rootdir,images

dir: hdd
	path /mnt/pve/hdd
	content rootdir,images
	is_mountpoint 1
"""
CONF = """\
## Hermes
#100%25 gr%C3%BCn
arch: amd64
features: nesting=1,keyctl=1
hostname: hermes
memory: 4096
rootfs: local-lvm:vm-118-disk-0,size=24G
swap: 512
unprivileged: 1
lxc.idmap: u 0 100000 65536
lxc.idmap: g 0 200000 65536

[pve:pending]
mp1: /x,mp=/y
delete: features,mp0
"""
TEMPLATE = "debian-13-standard_13.1-2_amd64.tar.zst"


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = Node(Site(tmp_path, "gihyeon", Limits(auth_delay=0, config_lock=0.2)), FakeRuntime())
    for folder in ("/var/lib/vz/template/cache", "/mnt/pve/hdd", "/etc/pve"):
        node.site.real(folder).mkdir(parents=True)
    node.site.real("/etc/pve/storage.cfg").write_text(STORAGE)
    node.site.real(f"/var/lib/vz/template/cache/{TEMPLATE}").touch()
    return node


def create(node: Node, **options: object) -> list[str]:
    lines: list[str] = []
    wanted = {"vmid": 118, "ostemplate": f"local:vztmpl/{TEMPLATE}", "rootfs": "local-lvm:24", "unprivileged": 1}
    node.call(ROOT, "POST", "/nodes/gihyeon/lxc", wanted | options, console=lines.append)
    return lines


class TestConfigurationFile:
    def test_reads_what_proxmox_writes(self) -> None:
        parsed = config.parse(CONF)
        assert parsed.options["description"] == "# Hermes\n100% grün\n"
        assert parsed.raw == (("lxc.idmap", "u 0 100000 65536"), ("lxc.idmap", "g 0 200000 65536"))
        assert parsed.pending == {"mp1": "/x,mp=/y"} and parsed.pending_delete == ("features", "mp0")
        assert "features" not in parsed.with_pending()
        assert parsed.digest == hashlib.sha1(CONF.encode()).hexdigest()

    def test_writes_what_it_read(self) -> None:
        assert config.render(config.parse(CONF)) == CONF

    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
    def test_any_description_survives(self, text: str) -> None:
        written = config.render(config.Config({"description": text}))
        read = config.parse(written).options.get("description", "")
        assert read.rstrip("\n") == text.rstrip("\n")


class TestContainers:
    def test_a_custom_id_map_reaches_the_runtime(self, node: Node) -> None:
        create(node)
        path = node.containers.path(118)
        path.write_text(path.read_text() + "lxc.idmap: u 0 300000 65536\nlxc.idmap: g 0 300000 65536\n")
        assert node.spec(118).idmap == (IdMap("u", 0, 300000, 65536), IdMap("g", 0, 300000, 65536))
        shown = node.call(ROOT, "GET", "/nodes/gihyeon/lxc/118/config", {})
        assert shown["lxc"] == [["lxc.idmap", "u 0 300000 65536"], ["lxc.idmap", "g 0 300000 65536"]]

    def test_raw_lines_survive_a_change(self, node: Node) -> None:
        create(node)
        path = node.containers.path(118)
        path.write_text(path.read_text() + "lxc.idmap: u 0 300000 65536\n")
        node.call(ROOT, "PUT", "/nodes/gihyeon/lxc/118/config", {"cores": 2})
        assert path.read_text().endswith("lxc.idmap: u 0 300000 65536\n")

    def test_a_thin_volume_has_its_own_place_and_words(self, node: Node) -> None:
        lines = create(node)
        assert lines[0] == '  Logical volume "vm-118-disk-0" created.'
        options = node.containers.load(118).options
        assert options["rootfs"] == "local-lvm:vm-118-disk-0,size=24G"
        assert node.spec(118).rootfs.stat().st_size == 24 * 2**30
        node.call(ROOT, "DELETE", "/nodes/gihyeon/lxc/118", {}, console=lines.append)
        assert not list(node.storages.disks_of(node.storages.get("local-lvm")))

    def test_a_failed_creation_leaves_nothing(self, node: Node) -> None:
        with pytest.raises(TaskFailed, match=r"unable to create CT 118 - volume '\S+x.tar.gz' does not exist"):
            create(node, ostemplate="local:vztmpl/x.tar.gz")
        assert not node.containers.exists(118)
        assert not list(node.storages.disks_of(node.storages.get("local-lvm")))

    def test_a_card_is_taken_from_a_running_container_at_once(self, node: Node) -> None:
        create(node, net0="name=eth0,bridge=intra01", net1="name=eth1,bridge=intra01")
        node.call(ROOT, "POST", "/nodes/gihyeon/lxc/118/status/start", {}, console=lambda _: None)
        node.call(ROOT, "PUT", "/nodes/gihyeon/lxc/118/config", {"delete": "net1"})
        config = node.containers.load(118)
        assert (config.pending_delete, "net1" in config.options) == ((), False)
        assert node.runtime.unplugged == [(118, 1)]

    def test_a_storage_that_is_not_mounted_is_refused(self, node: Node) -> None:
        with pytest.raises(PveError, match="directory is expected to be a mount point but is not mounted"):
            create(node, rootfs="hdd:4")
        listed = {entry["storage"]: entry for entry in node.call(ROOT, "GET", "/nodes/gihyeon/storage", {})}
        assert (listed["hdd"]["active"], listed["local"]["active"]) == (0, 1)

    def test_a_password_stays_out_of_sight(self, node: Node) -> None:
        order = node.creator.check(
            Rights(ROOT, node.users()), node.users(), {"vmid": 118, "ostemplate": f"local:vztmpl/{TEMPLATE}",
            "rootfs": "local-lvm:1", "password": "hidden-word"},
        )  # fmt: skip
        assert "hidden-word" not in repr(order)


class TestTasks:
    def test_the_dead_are_known_to_have_ended(self, node: Node) -> None:
        upid = parse_upid("UPID:gihyeon:000FFFFF:00000001:65000000:vzcreate:118:root@pam:")
        node.tasks.log_path(upid).parent.mkdir(parents=True)
        node.tasks.log_path(upid).write_text("extracting archive\n")
        node.site.real("/var/log/pve/tasks/active").write_text(upid.text + "\n")
        assert node.tasks.active() == []
        assert node.tasks.status(upid)["exitstatus"] == "unexpected status"
        assert [status for _upid, _end, status in node.tasks.archive()] == ["unexpected status"]

    def test_a_running_one_can_be_stopped(self, node: Node) -> None:
        began, go_on, stopped = threading.Event(), threading.Event(), threading.Event()

        def work(log: object) -> None:
            assert callable(log)
            log("first line")
            began.set()
            go_on.wait(5)
            try:
                log("second line")
            finally:
                stopped.set()

        upid = node.tasks.run(ROOT, "vzcreate", "1", work)
        assert began.wait(5)
        node.call(ROOT, "DELETE", f"/nodes/gihyeon/tasks/{upid}", {})
        go_on.set()
        assert stopped.wait(5)
        deadline = threading.Event()
        while node.tasks.is_running(parse_upid(upid)):
            deadline.wait(0.01)
        assert node.tasks.status(parse_upid(upid))["exitstatus"] == "interrupted by signal"

    def test_many_at_once_are_all_written_down(self, node: Node) -> None:
        upids = [node.tasks.run(ROOT, "vzstart", str(number), lambda log: None) for number in range(20)]
        assert len(set(upids)) == 20
        while node.tasks.active():
            threading.Event().wait(0.01)
        assert {upid.text for upid, _end, _status in node.tasks.archive()} == set(upids)


class TestUsers:
    def test_the_file_survives_a_round(self) -> None:
        text = (
            "user:a@pve:1:0:::a@b.c:gr%C3%BCn %3A::\n"
            "token:a@pve!t:0:1:c:\n"
            "group:g:a@pve:\n"
            "pool:p:c:118:local:\n"
            "role:R:VM.Audit:\n"
            "acl:1:/vms:a@pve:R:\n"
        )
        read = access.parse(text)
        assert read.users["a@pve"].comment == "grün :"
        again = access.parse(access.render(read))
        assert again == read

    def test_deeper_rules_win_and_groups_count(self) -> None:
        users = access.parse(
            "user:a@pve:1:0::::::\ngroup:g:a@pve:\nacl:1:/:@g:PVEAuditor:\nacl:1:/vms:a@pve:PVEVMUser:\n"
            "acl:0:/vms/118:a@pve:NoAccess:\n"
        )
        who = Identity("a@pve")
        assert "Sys.Audit" in users.permissions(who, "/nodes/x")
        assert "VM.PowerMgmt" in users.permissions(who, "/vms/117")
        assert "VM.Audit" not in users.permissions(who, "/vms/118")

    def test_a_separated_token_has_what_both_have(self) -> None:
        users = access.parse(
            "user:a@pve:1:0::::::\ntoken:a@pve!t:0:1::\nacl:1:/vms:a@pve:PVEVMUser:\nacl:1:/vms:a@pve!t:PVEVMAdmin:\n"
        )
        held = users.permissions(Identity("a@pve", "t"), "/vms/118")
        assert "VM.PowerMgmt" in held and "VM.Allocate" not in held


@pytest.mark.parametrize(("text", "size"), [("4G", 4 * 2**30), ("512M", 2**29), ("0.5G", 2**29), ("7", 7)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_sizes_are_written_short() -> None:
    assert [format_size(size) for size in (4 * 2**30, 4608 * 2**20, 2**40, 1025)] == ["4G", "4608M", "1T", "1025"]


class TestTemplates:
    @pytest.fixture
    def source(self) -> Iterator[str]:
        content = b"x" * 7_000_000

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/zstd")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{TEMPLATE}"
        server.shutdown()

    def offer(self, node: Node, location: str, checksum: str) -> None:
        folder = node.site.real("/var/lib/pve-manager/apl-info")
        folder.mkdir(parents=True)
        text = "Package: debian-13-standard\nVersion: 13.1-2\nType: lxc\nOS: debian-13\nSection: system\n"
        text += f"sha512sum: {checksum}\nLocation: {location}\n"
        text += "Description: Debian 13 Trixie (standard)\n A small one.\n"
        (folder / "lab").write_text(text)

    def test_downloads_with_its_progress(self, node: Node, source: str) -> None:
        node.site.real(f"/var/lib/vz/template/cache/{TEMPLATE}").unlink()
        self.offer(node, source, hashlib.sha512(b"x" * 7_000_000).hexdigest())
        [entry] = node.call(ROOT, "GET", "/nodes/gihyeon/aplinfo", {})
        assert (entry["template"], entry["section"], entry["headline"]) == (
            TEMPLATE, "system", "Debian 13 Trixie (standard)",
        )  # fmt: skip
        lines: list[str] = []
        params = {"storage": "local", "template": TEMPLATE}
        node.call(ROOT, "POST", "/nodes/gihyeon/aplinfo", params, console=lines.append)
        percents = [int(found[1]) for line in lines if (found := re.search(r"(\d+)% ", line))]
        assert percents == [44, 89, 100]
        assert "calculating checksum...OK, checksum verified" in lines
        lines.clear()
        node.call(ROOT, "POST", "/nodes/gihyeon/aplinfo", params, console=lines.append)
        assert not any("%" in line for line in lines)

    def test_a_wrong_checksum_leaves_nothing(self, node: Node, source: str) -> None:
        node.site.real(f"/var/lib/vz/template/cache/{TEMPLATE}").unlink()
        self.offer(node, source, "0" * 128)
        with pytest.raises(TaskFailed, match="checksum mismatch"):
            params = {"storage": "local", "template": TEMPLATE}
            node.call(ROOT, "POST", "/nodes/gihyeon/aplinfo", params, console=lambda line: None)
        assert not list(node.site.real("/var/lib/vz/template/cache").iterdir())

    def test_the_index_comes_from_the_node_s_own_server(self, tmp_path: Path, node: Node) -> None:
        shelf = tmp_path / "shelf"
        shelf.mkdir()
        (shelf / download.INDEX_FILE).write_text(f"Package: debian-13-standard\nLocation: {TEMPLATE}\n")
        folder = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(shelf))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), folder) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            site = replace(node.site, appliances=f"http://127.0.0.1:{server.server_address[1]}")
            assert download.update_index(site)
            assert download.read_index(site)[TEMPLATE]["location"] == f"{site.appliances}/{TEMPLATE}"
            (shelf / download.INDEX_FILE).unlink()
            assert not download.update_index(site)
            server.shutdown()
        assert TEMPLATE in download.read_index(site)
        assert "404" in site.real(download.LOG).read_text()
