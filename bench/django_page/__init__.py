"""The profile page once more, as Django's users write it: what ours is held against.

Its own tables with foreign keys, its ORM, its sessions, its form tokens, its templates with the cached loader, its
middleware as `startproject` lays it out, connections that stay open, and a server of its own kind.
"""
