"""nbval: how it reaches a kernel, and which outputs it does not compare."""

import functools
import tempfile


def pytest_configure(config):
    """Kernels that listen at files, and ten minutes for one to start.

    Their TCP ports would be chosen a second before they start. When another
    process takes one in that second, the kernel ends or never answers.
    """
    if not config.getoption("nbval", default=False):
        return
    import nbval.kernel

    folder = tempfile.TemporaryDirectory(prefix="kernel-")
    config.add_cleanup(folder.cleanup)
    nbval.kernel.KernelManager = functools.partial(
        nbval.kernel.KernelManager,
        transport="ipc",
        ip=f"{folder.name}/socket",  # whole: the kernel starts elsewhere
    )
    config.option.nbval_kernel_startup_timeout = 600.0


def pytest_collection_modifyitems(items):
    """Pictures and rich HTML differ between machines by a byte.

    The asserts in the cells prove the numbers behind them.
    """
    skipped = ("image/gif", "image/svg+xml", "text/html")
    for notebook in {item.parent for item in items}:
        if hasattr(notebook, "skip_compare"):
            notebook.skip_compare = (*notebook.skip_compare, *skipped)
