"""Write one service; serve it on anything that listens."""
