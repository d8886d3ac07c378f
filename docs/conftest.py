"""The pages' examples are tests; the site's configuration and what it generates are none."""

collect_ignore = ["conf.py", "_ext", "api", "gallery"]
