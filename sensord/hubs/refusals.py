"""
Why something is not done with a hub.
"""


class Refusal(Exception):
    """
    It is not possible; one line says why.
    """


class Stranger(Refusal):
    """
    There is no such hub.
    """
