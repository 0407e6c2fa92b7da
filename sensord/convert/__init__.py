"""
Moving in: the configuration files of OemGateway and emonHub become a C{sensord.toml}, and a report
of what has changed and of what has no counterpart.

Nothing that stands in such a file is passed over: a setting is either asked for by who makes a
table of it, or it is listed (L{Keys<sensord.convert.keys.Keys>}). And no table is kept that the
daemon would not take (L{Draft<sensord.convert.draft.Draft>}).
"""
