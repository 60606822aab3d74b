"""Checks: id, question, evidence, verdict, hint. One file a layer; `runner` runs them, `report` renders them."""
