"""Sections to HTML, Markdown, JSON and the terminal."""
