"""Results on disk -> one HTML page, Markdown and JSON. Only reads the heads folder.

runs.collect.collect_runs(heads_folder)          every run, its figures recomputed from its predictions
write.write_report(heads_folder, reports_folder) the three files
render.terminal.format_summary(report)           what a terminal shows
"""
