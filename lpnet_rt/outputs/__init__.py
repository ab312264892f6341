"""Outputs that have a peer: MQTT, Cursor on Target, SAPIENT, webhooks.

A peer that is away never holds the pipeline: what waits for it is bounded, what is dropped is counted.
"""

from lpnet_rt.outputs.opening import Peers, open_peers

__all__ = ["Peers", "open_peers"]
