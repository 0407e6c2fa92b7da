"""
Tests for L{sensord.station}.
"""
