"""A Proxmox-compatible node with real containers on this machine, for the demo and the tests.

`node` makes and runs it, `pve` is its API and tools, `images` builds what it serves, `mocks` stand in for the outside.
Imports nothing of the product that it is there to test.
"""
