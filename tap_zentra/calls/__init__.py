"""Threads and time: which device is called next, and when; knows neither the SDK nor any API."""
