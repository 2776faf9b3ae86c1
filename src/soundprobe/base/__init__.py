"""What every room stands on and that knows no sound: errors, records, files, settings, tasks, the registry."""
