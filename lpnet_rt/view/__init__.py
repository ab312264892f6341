"""Pictures for the eye; no model sees them."""
