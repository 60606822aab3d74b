"""Pure: (wanted, facts) -> changes. No I/O, no clock. One file a layer."""
