"""The video network: diffusers' image UNet inflated over time, its parts, and the files it can be read from."""
