"""Moving bytes, for listeners and clients alike: what neither has to itself."""
