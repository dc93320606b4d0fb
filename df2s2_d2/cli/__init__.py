"""The program ``df2s2``: one module a command, which reads its options and calls the package.

A command is a module with a docstring, which is its help; ``add_arguments(parser)``; and
``run(args)``, which returns the exit code, or None for 0. What is imported at its top must load at
once: parts of the package that need torch or detectron2 are imported in ``run``. ``commands`` lists
the modules.
"""
