"""The kind of recipe `glt`: generalised long-tail splits, carved anew or by the published procedure."""

from __future__ import annotations

from curation.errors import ArgumentError
from curation.splits import glt, legacy
from curation.splits.inputs import Inputs
from curation.splits.kind import Kind
from curation.splits.parameters import Parameters
from curation.splits.plan import suggest
from curation.splits.pool import gather
from curation.splits.result import Result


def carve(inputs: Inputs, parameters: Parameters) -> Result:
    """Carve by the mode that the parameters name; see `glt.carve` and `legacy.carve`."""
    if inputs.groups is not None:
        raise ArgumentError("recipe 'glt' takes one image of each group of near duplicates: set duplicates=decided")
    by_mode = legacy.carve if parameters.mode == "legacy" else glt.carve
    return by_mode(inputs.images, inputs.clusters, inputs.excluded, parameters)


def fitted(inputs: Inputs, parameters: Parameters) -> Parameters:
    """The largest cells that the classes can fill."""
    return suggest(gather(inputs, attributes=parameters.attributes).counts(), parameters)


KIND = Kind(
    name="glt",
    title="Generalised long tail",
    about="Imbalance between classes and between attributes inside them: one train set, val and three tests",
    settings=Parameters,
    carve=carve,
    clustered=True,
    fitted=fitted,
)
