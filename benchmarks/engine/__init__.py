"""`make engine`: what one load process can do on one core, as figures: open loop, token streams, memory."""
