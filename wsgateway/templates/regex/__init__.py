"""Java's regular expressions, read and written again for RE2."""
