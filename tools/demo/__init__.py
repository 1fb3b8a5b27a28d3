"""What the tap does, shown on this machine: two loads from a ZENTRA Cloud emulator into PostgreSQL."""
