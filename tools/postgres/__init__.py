"""The default warehouse: a PostgreSQL of this project's own, in its folder, without an installation."""
