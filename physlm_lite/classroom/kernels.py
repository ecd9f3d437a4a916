"""A kernel manager with a most; a Jupyter server is told of it by name. It needs the lab's packages."""

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.web import HTTPError
from traitlets import Integer


class FewKernels(AsyncMappingKernelManager):
    """As the server has it, but a learner has at most so many notebooks running."""

    most = Integer(2, config=True, help="kernels at a time")

    async def _async_start_kernel(self, **options):  # type: ignore[no-untyped-def]
        """Start a kernel, or say which to shut down first."""
        if len(self.list_kernel_ids()) >= self.most:
            raise HTTPError(
                409, f"{self.most} notebooks are running, which is all there is room for: shut one down first"
            )
        return await super()._async_start_kernel(**options)

    start_kernel = _async_start_kernel  # type: ignore[assignment]  # as the class above has it
