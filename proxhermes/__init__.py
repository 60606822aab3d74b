"""Provision Nous Research's Hermes Agent on Proxmox VE."""

__version__ = "0.1.0"
