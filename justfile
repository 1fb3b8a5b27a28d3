# What people who change the code run, and CI too: `.uv/bin/uv run just` lists it, `.uv/bin/uv run just lint` runs one.

set positional-arguments := true

# `uv run` names itself; without it, the README's demo has installed one here.
uv := env("UV", justfile_directory() / ".uv/bin/uv")
run := quote(uv) + " run --quiet --all-extras"

# List what there is
[private]
default:
    @{{ just_executable() }} --list --unsorted

# All tests, as in the README; arguments go to pytest
test *arguments:
    {{ run }} --group test pytest -n 2 "$@"

# Tests without Meltano, PostgreSQL and what others wrote
test-alone *arguments:
    {{ run }} --group test pytest -n 2 -m "not warehouse" "$@"

# The long forms of the attacks: an hour (docs/reliability.md)
test-long *arguments:
    {{ run }} --group test pytest -m long "$@"

# Lint, and whether the code is formatted
lint:
    {{ run }} --group lint ruff check
    {{ run }} --group lint ruff format --check

# Format the code
format:
    {{ run }} --group lint ruff format

# Types
types:
    {{ run }} --group lint mypy

# Speed and memory, and that no limit is broken; `--quick` takes a minute
bench *arguments:
    {{ run }} --group test python -m benchmarks "$@"

# How many changed programs the tests notice: some minutes
mutants *arguments:
    {{ run }} --group mutation python -m benchmarks.mutants "$@"

# Check all loaders, and write docs/loaders.md
loaders:
    {{ run }} --group test python -m tools.loaders

# Write what Meltano reads of the tap, after a change of its settings
plugin:
    {{ run }} --group test python -m tools.plugin

# Write the tables of docs/models.md, after a change of what the models say of themselves
models:
    {{ run }} --group test python -m tools.models

# Build the wheel into a folder, install it alone, and ask it what it is
wheel folder="dist":
    rm -f {{ folder }}/*.whl
    {{ quote(uv) }} build --quiet --wheel --out-dir {{ folder }}
    {{ quote(uv) }} run --quiet --isolated --no-project --with {{ folder }}/*.whl tap-zentra --about --format=markdown

# All that CI runs, from a clean clone
ci:
    .ci/run
