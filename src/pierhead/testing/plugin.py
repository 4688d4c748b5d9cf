"""The pytest plugin: fixtures for tests without sockets and without sleep."""
