"""
What many tests share: real implementations of our interfaces, and checks of their contracts.
"""
