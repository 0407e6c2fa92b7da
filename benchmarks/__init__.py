"""
How fast sensord is: each case beside its bare limit, in the same run.
"""
