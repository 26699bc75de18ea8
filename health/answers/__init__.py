"""What a probe is sent: JSON, the IETF draft's JSON, or a page; errors' texts to the permitted.

Views call `response.respond`; `formats` renders, `error_access` says who may see errors.
"""
