"""The labelling page: what label.py shows in the browser, and what it saves."""
