"""For tests of services: a memory network, a clock to hold, laws for framings and codecs."""
