"""A Proxmox-compatible node: configuration files, permissions, tasks, and the HTTPS API."""
