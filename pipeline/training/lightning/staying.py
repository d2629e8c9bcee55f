"""Where a module is after Lightning is done with it: on a GPU it stays there.

Lightning's own strategy carries the module to the CPU after every fit and every predict, and back
before the next: for 1.3 GB of weights some tenths of a second each way, several times per fold. And
CUDA graphs work on the very weights they were captured with. Lightning would also give the
workspaces of cuBLAS back, which a captured graph may still write to.
"""

from pytorch_lightning.strategies import SingleDeviceStrategy


class StayingDevice(SingleDeviceStrategy):
    """One device, which the module is not taken from; an optimiser's moments are dropped."""

    def teardown(self) -> None:
        """See Strategy.teardown: all that it does, but for moving the module and its accelerator's
        own clearing up."""
        for optimizer in self.optimizers:
            optimizer.state.clear()
        self.precision_plugin.teardown()
        self.checkpoint_io.teardown()
