"""Everything the lab's node serves that has to be built first: guest templates, the agent's image, their caches.

The agent's image starts as the official one does, except that it gives hermes no group for a mounted docker.sock, does
not take HERMES_AUTH_JSON_BOOTSTRAP or _REBOOTSTRAP, and does not sync bundled skills (the package brings none).
"""
