"""HuViDPO Space: clips of eight actions from a first frame, and adapters that learn from what people pick."""

import logging

# Their image processors work as well without torchvision, which nothing here uses: advice that is none to our users.
logging.getLogger("transformers.utils.import_utils").addFilter(
    lambda record: "requires torchvision (not installed)" not in record.getMessage()
)

__version__ = "0.1.0"
