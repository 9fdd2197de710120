"""The embedded `pocket` backbone: its practice clips, its training program and its weights."""
