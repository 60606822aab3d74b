"""What the user wants: one YAML file, read by `load` into an `Inventory` of nodes and agents."""

from proxhermes.inventory.inventory import Inventory
from proxhermes.inventory.loader import find, load

__all__ = ["Inventory", "find", "load"]
