"""Carries plans out: one file a layer. Whatever is reported as changed has happened."""
