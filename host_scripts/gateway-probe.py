"""Asks the agent's gateway what it knows of jobs and skills, through its own API and with the agent's own key.

    gateway-probe.py HOME PORT [PROFILE...]

HOME: the agent's home, with the key in its .env. PROFILE: of those that the gateway serves beside the default one.
Prints a JSON object: by profile (`default` is the first one), `jobs` and `skills`, or `error`, why they are not known.
Nothing but Python's own library is imported, for the agent's packages are not ours to rely on.
"""

from __future__ import annotations

import http.client
import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

LIMIT_S = 15
MOST = 4_000_000
"""Bytes of an answer that are read."""
JOB = (
    *("id", "name", "schedule", "prompt", "deliver", "skills", "skill", "script", "no_agent", "workdir", "repeat"),
    *("enabled", "state", "paused_at", "next_run_at", "last_status", "last_error", "last_delivery_error"),
)
home, port = sys.argv[1:3]
# The gateway is here, wherever a proxy variable points.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def key() -> str:
    """As `hermes.env` writes it: bare, or in single quotes."""
    text = (Path(home) / ".env").read_text(encoding="utf-8", errors="replace")
    found = re.findall(r"^(?:export )?API_SERVER_KEY=(.*)$", text, re.MULTILINE)
    return found[-1].strip().strip("'\"") if found else ""


def ask(path: str) -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {key()}"})
    with opener.open(request, timeout=LIMIT_S) as answer:
        return json.loads(answer.read(MOST))


def asked(profile: str) -> dict[str, Any]:
    prefix = "" if profile == "default" else f"/p/{profile}"
    try:
        jobs = ask(f"{prefix}/api/jobs?include_disabled=true")["jobs"]
        skills = ask(f"{prefix}/v1/skills")["data"]
        return {
            "jobs": [{name: job[name] for name in JOB if name in job} for job in jobs],
            "skills": [skill["name"] for skill in skills],
        }
    except urllib.error.HTTPError as error:
        return {"error": f"HTTP {error.code}"}
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        return {"error": str(getattr(error, "reason", error))[:300]}


print(json.dumps({profile: asked(profile) for profile in ("default", *sys.argv[3:])}))
