"""The guest template of CT 117: the real LiteLLM proxy as a systemd unit, waiting for its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from proxhermes.lab.images import rootfs, template
from proxhermes.lab.images.cache import Cache, Progress, Workbench, sources

VERSION = "1.106.2"
NAME = f"debian-13-litellm_{VERSION}-1_amd64.tar.zst"

VENV = "/opt/litellm"
#: Without prisma, LiteLLM answers every refused request with a 500 instead of a 401, though no database is used.
REQUIREMENTS = (f"litellm[proxy]=={VERSION}", "prisma")
PACKAGES = ("python3", "python3-venv")

CONFIG_FILE = "/etc/litellm/config.yaml"
ENVIRONMENT_FILE = "/etc/litellm/env"
UNIT = f"""\
[Unit]
Description=LiteLLM proxy
ConditionPathExists={CONFIG_FILE}

[Service]
User=litellm
EnvironmentFile={ENVIRONMENT_FILE}
Environment=LITELLM_LOCAL_MODEL_COST_MAP=True DISABLE_ADMIN_UI=True PYTHONUNBUFFERED=1
ExecStart={VENV}/bin/litellm --config {CONFIG_FILE} --host 0.0.0.0 --port 4000 --telemetry False
Restart=on-failure
RestartSec=1

[Install]
WantedBy=multi-user.target
"""

#: Parts of the package that a proxy without admin pages, and with one OpenAI-compatible upstream, never reads.
UNUSED = (
    "litellm/proxy/_experimental/out", "botocore/data", "azure*", "polars*", "_polars*", "granian*", "pyroscope*",
    "hf_xet*", "psycopg*",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Model:
    """A model as LiteLLM exposes it; both names reach the same upstream."""

    name: str
    upstream: str
    max_input_tokens: int


MODELS = (Model("claude-sonnet", "mock-sonnet", 200_000), Model("gpt-mini", "mock-mini", 128_000))


def render_config(upstream_url: str, models: tuple[Model, ...] = MODELS) -> str:
    """LiteLLM's config.yaml: holds no secret, the master key comes from the environment file.

    :param upstream_url: base URL of an OpenAI-compatible server, with its /v1
    """
    entries = "".join(
        f"  - model_name: {model.name}\n"
        f"    litellm_params:\n"
        f"      model: openai/{model.upstream}\n"
        f"      api_base: {upstream_url}\n"
        f"      api_key: unused\n"
        f"    model_info:\n"
        f"      max_input_tokens: {model.max_input_tokens}\n"
        for model in models
    )
    return f"model_list:\n{entries}general_settings:\n  master_key: os.environ/LITELLM_MASTER_KEY\n"


def render_environment(master_key: str) -> str:
    """The environment file (0600, root): the one place of the master key in the guest."""
    return f"LITELLM_MASTER_KEY={master_key}\n"


def recipe() -> list[object]:
    """What the template depends on."""
    return [template.recipe(), sources(__file__)]


def build(cache: Cache, progress: Progress) -> Path:
    """The template's path, built if needed (about a minute on top of the guest template)."""

    def make(bench: Workbench) -> Path:
        root = rootfs.unpack(bench, template.build(cache, progress), bench.scratch / "root")
        progress("LiteLLM: packages")
        rootfs.apt_install(bench, root, PACKAGES)
        progress(f"LiteLLM: installing {VERSION}")
        rootfs.make_venv(bench, root, VENV, REQUIREMENTS, unused=UNUSED)
        rootfs.enter(bench, root, ["useradd", "--system", "--home-dir", "/var/lib/litellm", "--create-home", "litellm"])
        rootfs.write(root, "/etc/systemd/system/litellm.service", UNIT)
        rootfs.enter(bench, root, ["systemctl", "enable", "litellm.service"])
        progress("LiteLLM: packing")
        return rootfs.pack(bench, root, bench.scratch / NAME)

    return cache.ensure("litellm", cache.templates / NAME, recipe(), make, progress)
