"""From a service's OpenAPI document to a contract: operations, examples of their values, what each is, and the TOML.

The document is the target's word: everything in it is bounded, cleaned and checked before it is written anywhere.
"""
