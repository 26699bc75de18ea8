"""The multi-process store: index, lanes, values, reader.

It knows prometheus_client and nothing of Django.
"""
