"""`host`: what the host does between the processor's runs, in pointers and integers only."""

from elastix.dialects.host.ops import (
    AddressOp as AddressOp,
)
from elastix.dialects.host.ops import (
    CallOp as CallOp,
)
from elastix.dialects.host.ops import (
    CallValue as CallValue,
)
from elastix.dialects.host.ops import (
    ConstantOp as ConstantOp,
)
from elastix.dialects.host.ops import (
    Host as Host,
)
from elastix.dialects.host.ops import (
    Int32 as Int32,
)
from elastix.dialects.host.ops import (
    LaunchOp as LaunchOp,
)
from elastix.dialects.host.ops import (
    ReadBackOp as ReadBackOp,
)
from elastix.dialects.host.ops import (
    UploadOp as UploadOp,
)
from elastix.dialects.host.ops import (
    WaitOp as WaitOp,
)
from elastix.dialects.host.ops import (
    call as call,
)
