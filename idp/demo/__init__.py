"""The embedded run: engines without installation, the processes of `make run`, synthetic people and portals.

It knows everyone below it and is known by `app`, `cli` and the tests alone. Nothing in production imports it.
"""
