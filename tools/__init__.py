"""For people who work in the repository: a PostgreSQL in a folder, a demo, and checks of loaders that others wrote."""
