"""The client side: dialling the addresses that a listener opens, with the same codecs."""
