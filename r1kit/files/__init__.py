"""Reading and writing files: atomic writes, checksums, and untrusted text and JSON."""
