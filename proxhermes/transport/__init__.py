"""The three doors: the token (`pve`), the root shell (`ssh`), the guest (`pct`). The only place that opens a connection."""
