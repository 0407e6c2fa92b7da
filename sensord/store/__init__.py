"""
The shared storage service: what everything durable goes through.
"""
