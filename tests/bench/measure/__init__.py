"""The benchmark of envspec: what it does, side by side with a peer and with the floor."""
