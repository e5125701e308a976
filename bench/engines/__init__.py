"""How each engine does each kind of case.

A module <name>_engine has set_threads(n), versions(), to_numpy(result) and KINDS: kind -> function of the case's args
that returns {variant: function of no arguments, or Timed}. All ways an expert would try are variants; the fastest
counts. A kind that is missing, or that returns nothing, is not offered by this engine.
"""
