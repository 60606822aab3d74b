"""Bringing everything that the lab keeps in its cache up to date: `python -m proxhermes.lab.images.build`."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from proxhermes.lab.images import base, docker, downloads, hermes, litellm, mcp, plain, template
from proxhermes.lab.images.cache import Cache, Progress


def build_all(progress: Progress, cache: Cache) -> None:
    """Build whatever is missing or was made from another recipe; quick when nothing is.

    :param progress: told, one line each, what is being done; called from more than one thread
    :raises BuildError: what failed and where its log is
    """
    if not _all_fresh(cache):
        base.build(cache, progress)
    # Downloading, unpacking and compressing alternate in each chain: two of them keep two cores busy.
    with ThreadPoolExecutor(max_workers=2) as workers:
        registry = workers.submit(hermes.build, cache, progress)
        proxy = workers.submit(litellm.build, cache, progress)
        images = workers.submit(plain.build, cache, progress)
        template.build(cache, progress)
        engine = workers.submit(docker.build, cache, progress)
        mcp.build(cache, progress)
        downloads.build(cache, progress)
        for built in (registry, proxy, images, engine):
            built.result()


def _all_fresh(cache: Cache) -> bool:
    return (
        cache.is_fresh("template", cache.templates / template.NAME, template.recipe())
        and cache.is_fresh("litellm", cache.templates / litellm.NAME, litellm.recipe())
        and cache.is_fresh("agent-image", cache.registry / hermes.PUSHED, hermes.recipe())
    )


def main() -> None:
    """Build everything, telling on standard error."""

    def tell(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    build_all(tell, Cache())


if __name__ == "__main__":
    main()
