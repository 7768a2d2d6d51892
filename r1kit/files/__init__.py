"""Reading and writing files: atomically, with checksums, and text that comes from outside."""
