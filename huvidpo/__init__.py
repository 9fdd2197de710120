"""HuViDPO Space: first-frame-conditioned clips of eight actions, and adapters that learn from which clip people pick."""

__version__ = "0.1.0"
