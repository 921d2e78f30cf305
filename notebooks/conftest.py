"""nbval: which kinds of output are not compared with the committed ones."""


def pytest_collection_modifyitems(items):
    """Pictures and rich HTML differ between machines by a byte.

    The asserts in the cells prove the numbers behind them.
    """
    skipped = ("image/gif", "image/svg+xml", "text/html")
    for notebook in {item.parent for item in items}:
        if hasattr(notebook, "skip_compare"):
            notebook.skip_compare = (*notebook.skip_compare, *skipped)
