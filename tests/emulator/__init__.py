"""Tests of the emulator, which imports nothing from the tap, so neither do they."""
