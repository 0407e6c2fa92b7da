"""
Settings that an emoncms has for its gateway: C{--config-emoncms}.
"""
