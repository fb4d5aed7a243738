"""State that the nodes of an installation share."""
