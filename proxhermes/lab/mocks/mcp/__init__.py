"""Real MCP servers, on the real SDK, run by a Python that has it: these files import nothing of the lab."""
