"""The web page: live pictures, tracks and events of every source in a browser, and metrics for Prometheus.

The server runs in one thread with its own event loop. Sources put their reports into feeds, which cost them some
microseconds a frame; pictures are encoded only when a viewer waits for one, once for all viewers.
"""
