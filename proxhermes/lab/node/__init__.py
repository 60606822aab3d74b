"""The node itself: namespaces, network, mounts, services, the LXC runtime, and the lab's life from up to down."""
