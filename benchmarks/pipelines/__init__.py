"""From the service to a table, through loaders that others wrote and through a plain program."""
