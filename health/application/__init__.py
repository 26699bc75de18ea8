"""What the application's processes are doing, for the health server and for scrapes.

`watch.observe` looks at their lanes; `workers` names their conditions, `collector` shows
them in a scrape, `life_signs` tells of life where no lane can.
"""
