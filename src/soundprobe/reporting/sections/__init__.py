"""One file a section of the report: what it shows, once, for HTML, Markdown and JSON."""
