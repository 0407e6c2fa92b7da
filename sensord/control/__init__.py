"""
The control API: what the toolbox asks the running daemon, and tells it to do.
"""
