"""
The hub manager: a gateway of its own, in its own process, for each hub of each customer.
"""
