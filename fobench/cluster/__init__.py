"""Many machines: the blocks of a suite on the machines of a dask.distributed cluster; the only room that imports it."""
