"""What docs/extending.md of soundprobe walks through."""
