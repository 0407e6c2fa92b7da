"""
The links to devices: thin Twisted Protocols that move bytes, apply limits, and acknowledge.
"""
