"""The three doors: token (`pve`), root shell (`ssh`), guest (`pct`). The only place that opens a connection."""
