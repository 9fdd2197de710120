"""HuViDPO Space: clips of eight actions from a first frame, and adapters that learn from what people pick."""

__version__ = "0.1.0"
