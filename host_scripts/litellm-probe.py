"""Asks LiteLLM from where the agent stands: inside its Docker container, with the agent's own configuration and key.

Prints one JSON object; the key is read from the agent's .env and never printed. Needs the agent's own environment
(PyYAML and python-dotenv come with Hermes).
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path

import dotenv
import yaml

home = Path(os.environ.get("HERMES_HOME", "/opt/data"))
model = (yaml.safe_load((home / "config.yaml").read_text()) or {}).get("model") or {}
values = dotenv.dotenv_values(home / ".env")
key = re.sub(r"\$\{(\w+)\}", lambda found: values.get(found[1]) or "", str(model.get("api_key") or ""))
base = str(model.get("base_url") or "").rstrip("/")
# The proxy is where the configuration says, not where a proxy variable points.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str, bearer: str | None = None) -> tuple[int, str]:
    """Status and body of a GET; status 0 with the reason when there was no answer."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {bearer}"} if bearer else {})
    try:
        with opener.open(request, timeout=15) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except (OSError, ValueError) as error:
        return 0, str(getattr(error, "reason", error))


def models(text: str) -> list[str]:
    try:
        return [entry["id"] for entry in json.loads(text)["data"]]
    except (ValueError, KeyError, TypeError):
        return []


alive, alive_text = ask(base.removesuffix("/v1") + "/health/liveliness")
keyed, keyed_text = ask(base + "/models", key)
bare, _ = ask(base + "/models")
print(
    json.dumps(
        {
            "base_url": base,
            "model": model.get("default"),
            "has_key": bool(key),
            "alive": alive,
            "alive_text": "" if alive == 200 else alive_text[:300].replace(key or "\0", "***"),
            "keyed": keyed,
            "keyed_text": "" if keyed == 200 else keyed_text[:300].replace(key or "\0", "***"),
            "models": models(keyed_text),
            "bare": bare,
        }
    )
)
