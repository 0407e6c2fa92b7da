"""
The admin shell: a Python prompt and plain words, by SSH.
"""
