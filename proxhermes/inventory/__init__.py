"""What the user wants: one YAML file, read by `loader.load` into an `inventory.Inventory` of `models`."""
