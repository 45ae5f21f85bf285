"""Measuring, for ``rnncore bench`` and for the benchmarks of the repository. Private.

Nothing here is imported by `rnncore` itself, and other libraries are imported only where they are
measured.
"""
