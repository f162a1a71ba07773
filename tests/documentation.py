"""Examples of a page of documentation, run."""

import doctest
import re
from pathlib import Path


def examples_that_fail(page: Path) -> tuple[int, list[str]]:
    """Run the Python blocks of a page, one after the other, in one namespace.

    Returns
    -------
    n_blocks : int
    said : list of str
        What doctest says of those that print something else.
    """
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(>>> .*?)```", text, flags=re.DOTALL)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    known: dict[str, object] = {}
    said: list[str] = []
    for number, block in enumerate(blocks):
        test = doctest.DocTestParser().get_doctest(
            block, known, f"example {number}", str(page), 0
        )
        test.globs = known
        runner.run(test, out=said.append, clear_globs=False)
    return len(blocks), said
