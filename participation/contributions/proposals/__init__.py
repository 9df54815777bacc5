"""Ideas with a title, perhaps a place and a picture."""
