"""Tasks and corpora as streams: rows for the `datasets` library, for files and for a terminal."""
