"""Pages of HTML that need no other file, and what is shown on them; nothing here knows of faces."""
