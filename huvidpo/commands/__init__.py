"""The commands of `python -m huvidpo`, by what they are about: each checks, calls, and gives one answer on stdout.

Their options are in options.py. Heavy modules are imported inside the commands, after what can be checked without
them: bad input is told at once.
"""
