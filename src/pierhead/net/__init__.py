"""Moving bytes: the code that listeners and clients share."""
