"""
The page for operators: who may see it, and what it is made of.
"""
