"""Reading and writing files: atomic writes, checksums, text and JSON from outside."""
