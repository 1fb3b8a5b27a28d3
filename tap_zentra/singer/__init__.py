"""The Singer side: pages become messages, bookmarks, STATE and a report; knows no API."""
