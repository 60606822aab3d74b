"""The node's command line: `pct`, `pvesm`, `pveam`, `pvesh`, `pveum`, over the same core as the API daemon.

Each tool is `python -m proxhermes.lab.pve.cli.TOOL`. They act as root@pam; tasks run in the foreground, their log on
standard output, and what they leave as exit code is what Perl leaves: the errno of the moment, else 255.
"""
