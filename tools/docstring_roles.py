"""For the site: references in docstrings, such as :func:`~package.name`, as Markdown's code."""

from __future__ import annotations

import re

from griffe import Extension, Object

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(?:~[\w.]*?(?=\w+`)|)([\w.]+)`")


class DocstringRoles(Extension):
    """Griffe's extension that does it: after "~" the last part of a name stays, else all of it."""

    def on_object(self, *, obj: Object, **_) -> None:
        """Change the docstring of an object as it is loaded."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
