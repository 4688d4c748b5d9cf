"""From a program to a running process: signals, readiness, drain."""
