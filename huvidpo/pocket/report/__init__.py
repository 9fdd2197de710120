"""Every figure about `pocket`, each with its interval: `python -m huvidpo.pocket.report`."""
