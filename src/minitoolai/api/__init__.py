"""In from programs: one file per family of endpoints, each schema + handler + translation.

No SQL, engine or price may enter: what happens is a use case's business.
"""
